#include <type_traits>

#include "harness/kernels/internal/isa.h"
#include "harness/kernels/task_vector/vector_loops.h"

namespace assay {
namespace {

/// Calls `take(j, values)` with term_element() of every expert, for each element j of the run.
template <Arithmetic kArithmetic, TermKind kKind, int kCount, typename Take>
ASSAY_ELEMENT void for_terms(const TermLoop& loop, const Take& take) {
  constexpr DType kStorage = stored_in(kArithmetic), kRounding = rounded_to(kArithmetic);
  constexpr int64_t kBytesAhead = 512, kCacheLine = 64;
  const void* data[kCount + 1];
  uint32_t above[kCount];
  float rescale[kCount], weight[kCount];
  for (int i = 0; i < kCount; ++i) {
    above[i] = loop.terms[i].threshold;
    rescale[i] = loop.terms[i].rescale;
    weight[i] = round_to(loop.terms[i].weight, kRounding);
  }
  for (int i = 0; i <= kCount; ++i) data[i] = loop.operands[i].data;
  for (int64_t first = 0; first < loop.size; first += kMaskBits) {
    const int64_t begin = loop.begin + first;
    uint32_t masks[kCount];
    for (int i = 0; i < kCount; ++i)
      if constexpr (kKind != TermKind::kWeigh) masks[i] = loop.masks[i][first / kMaskBits];
    // Prefetch: hardware reads ahead within a page; with several arrays it comes to an end often.
    for (int i = 0; i <= kCount; ++i)
      for (int64_t byte = 0; byte < kMaskBits * dtype_bytes(kStorage); byte += kCacheLine)
        __builtin_prefetch(static_cast<const char*>(data[i]) + begin * dtype_bytes(kStorage) +
                           kBytesAhead + byte);
    for (int64_t j = 0; j < kMaskBits; ++j) {
      const float base = load_as<kStorage>(data[0], begin + j);
      float values[kCount];
      for (int i = 0; i < kCount; ++i) {
        float delta = plain_delta(load_as<kStorage>(data[i + 1], begin + j), base, kRounding);
        if constexpr (kKind == TermKind::kTrim) {  // a tie that is kept counts as if above
          const uint32_t tie = masks[i] >> static_cast<uint32_t>(j) & 1U;
          delta = magnitude_bits(delta) + tie > above[i] ? delta : 0.0f;
        } else {
          if constexpr (kKind == TermKind::kDrop) {
            delta = round_to(delta * rescale[i], kRounding);
            delta = (masks[i] >> static_cast<uint32_t>(j) & 1U) != 0 ? delta : 0.0f;
          }
          delta = round_to(delta * weight[i], kRounding);
        }
        values[i] = delta;
      }
      take(first + j, values);
    }
  }
}

/// reduce_element().
template <Arithmetic kArithmetic, TermKind kKind, Reduce kReduce, int kCount>
ASSAY_ELEMENT void reduce_terms(const TermLoop& loop, float tie_sign, float* __restrict out) {
  for_terms<kArithmetic, kKind, kCount>(loop, [&](int64_t j, const float* values) ASSAY_INLINED {
    constexpr DType kRounding = rounded_to(kArithmetic);
    float votes = values[0];
    for (int i = 1; i < kCount; ++i) votes += values[i];
    if constexpr (kReduce == Reduce::kSumAll) {
      out[j] = round_to(votes, kRounding);
    } else {
      const float sign = elected_sign(votes, tie_sign);
      Agreement agreement;
      for (int i = 0; i < kCount; ++i) agreement = agree(agreement, values[i], 1, sign, kReduce);
      out[j] = agreed_value(agreement, kReduce, 0, kRounding);
    }
  });
}

/// The same compiled for an instruction set.
#define ASSAY_REDUCE_LOOP(NAME, TARGET)                                         \
  template <Arithmetic kArithmetic, TermKind kKind, Reduce kReduce, int kCount> \
  TARGET void NAME(const TermLoop& loop, float tie_sign, float* out) {          \
    reduce_terms<kArithmetic, kKind, kReduce, kCount>(loop, tie_sign, out);     \
  }
ASSAY_REDUCE_LOOP(reduce_plain, )
#ifdef ASSAY_VECTORS_512
ASSAY_REDUCE_LOOP(reduce_v3, __attribute__((target("arch=x86-64-v3"))))
ASSAY_REDUCE_LOOP(reduce_v4, __attribute__((target("arch=x86-64-v4"))))
#endif

template <Arithmetic kArithmetic, TermKind kKind, Reduce kReduce>
void add_loops(VectorLoops& loops) {
  const auto add = [&]<int kCount>(std::integral_constant<int, kCount>) {
    auto& loop = loops.reduce[static_cast<int>(kArithmetic)][static_cast<int>(kKind)]
                             [static_cast<int>(kReduce)][kCount - 1];
    loop = reduce_plain<kArithmetic, kKind, kReduce, kCount>;
#ifdef ASSAY_VECTORS_512
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    if (v3) loop = reduce_v3<kArithmetic, kKind, kReduce, kCount>;
    if (v3 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      loop = reduce_v4<kArithmetic, kKind, kReduce, kCount>;
#endif
  };
  add(std::integral_constant<int, 1>{});
  add(std::integral_constant<int, 2>{});
  add(std::integral_constant<int, 3>{});
  add(std::integral_constant<int, kFewTerms>{});
}

template <Arithmetic kArithmetic>
void add_all(VectorLoops& loops) {
  add_loops<kArithmetic, TermKind::kWeigh, Reduce::kSumAll>(loops);
  add_loops<kArithmetic, TermKind::kDrop, Reduce::kSumAll>(loops);
  add_loops<kArithmetic, TermKind::kDrop, Reduce::kSumAgree>(loops);
  add_loops<kArithmetic, TermKind::kTrim, Reduce::kMeanAgree>(loops);
  add_loops<kArithmetic, TermKind::kTrim, Reduce::kSumAll>(loops);
}

}  // namespace

void add_term_loops(VectorLoops& loops) {
  add_all<Arithmetic::kFloat32>(loops);
  add_all<Arithmetic::kBFloat16>(loops);
  add_all<Arithmetic::kBFloat16Rounded>(loops);
}

}  // namespace assay
