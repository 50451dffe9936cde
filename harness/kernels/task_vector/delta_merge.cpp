#include "harness/kernels/task_vector/delta_merge.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/kernels/internal/launch.h"
#include "harness/kernels/task_vector/term_rows.h"

namespace assay {
namespace {

int64_t reduce_flops(int64_t experts, const DeltaRule& rule) {
  const int64_t sum = experts - 1, election = rule.elect == Elect::kMass ? sum : 0;
  switch (rule.reduce) {
    case Reduce::kSumAll:
      return sum;
    case Reduce::kMeanAgree:
      return election + sum + 1;
    case Reduce::kSumAgree:
      return election + sum;
    case Reduce::kMaxAgree:
      return election;
    case Reduce::kWeightedMeanAgree:
      return election + 2 * sum + 1;
  }
  return 0;
}

/// Writes changed_base() to an array of the storage dtype. One per thread.
class ChangedBase {
 public:
  /// operands[0] is the base.
  ChangedBase(const Operands& operands, float scale, DType rounding, void* out, DType storage)
      : base_(operands[0]),
        start_(operands, 1),
        scale_(scale),
        rounding_(rounding),
        out_(out),
        storage_(storage) {}
  /// Elements [begin, begin + size); returns how many results are NaN or infinite.
  int64_t write(int64_t begin, int64_t size, const float* reduced) {
    char* to = static_cast<char*>(out_) + begin * dtype_bytes(storage_);
    const uint32_t largest = change(begin, size, reduced, to);
    return largest > largest_finite(storage_) ? nonfinite_run({out_, storage_}, begin, size) : 0;
  }

 private:
  uint32_t change(int64_t begin, int64_t size, const float* reduced, char* to) {
    const auto loop = vector_loops().change;
    const bool rounds = rounding_ == DType::kBFloat16;
    if (loop && storage_ == DType::kBFloat16 && base_.storage == storage_ &&
        (rounds || rounding_ == DType::kFloat32) && size % kVectorRun == 0)
      return loop(base_.data, begin, reduced, scale_, rounds, size, to);
    alignas(kAlignment) float merged[kRun];
    alignas(kAlignment) std::byte stored[kRun * sizeof(double)];
    start_.load(begin, size);
    const uint32_t largest = change_run(start_[0], reduced, scale_, rounding_, size, merged);
    store_run(merged, 0, size, stored, storage_);
    copy_non_temporal(stored, size * dtype_bytes(storage_), to);
    return largest;
  }

  static constexpr size_t kAlignment = 64;
  Operand base_;
  RunValues start_;
  float scale_;
  DType rounding_;
  void* out_;
  DType storage_;
};

/// Checks that a tensor takes or holds reduced deltas.
void check_deltas(const at::Tensor& deltas, const Operands& operands) {
  ASSAY_CHECK(deltas.scalar_type() == at::kFloat && deltas.is_contiguous() &&
              deltas.device() == operands.device() && deltas.numel() >= operands.count());
}

}  // namespace

int64_t delta_flops(const std::vector<DeltaTerm>& terms) {
  int64_t flops = 0;
  for (const DeltaTerm& term : terms)
    flops += 1 + (term.drop > 0.0f) + (term.rescale != 1.0f) + (term.weight != 1.0f);
  return flops;
}

at::Tensor delta_merge(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                       const std::vector<DeltaTerm>& terms, const DeltaRule& rule, int64_t offset) {
  at::Tensor out = float32_like({base});
  delta_merge_into(base, experts, terms, rule, out, offset);
  return out;
}

int64_t delta_merge_into(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                         const std::vector<DeltaTerm>& terms, const DeltaRule& rule,
                         at::Tensor& out, int64_t offset, at::Tensor* reduced) {
  ASSAY_CHECK(!terms.empty() && terms.size() == experts.size() && offset % 64 == 0);
  ASSAY_CHECK(rule.min_divisor >= 0 && rule.min_divisor < 1);
  for (const DeltaTerm& term : terms) ASSAY_CHECK(term.rounding == rule.rounding);
  const Operands operands(base, experts);
  const DType storage = operands.check_result(out);
  const int n = operands.size() - 1;
  count_flops(delta_flops(terms) + reduce_flops(n, rule) + (reduced ? 0 : kChangeFlops),
              operands.count());
  void* result = out.mutable_data_ptr();
  if (reduced) check_deltas(*reduced, operands);
  float* deltas = reduced ? reduced->mutable_data_ptr<float>() : nullptr;
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      CudaLaunch launch(operands.device());
      std::vector<DeltaTerm> there = terms;
      const int64_t first_word = offset / 64, words = (operands.count() + 63) / 64;
      for (DeltaTerm& term : there)
        if (term.keep_mask)  // only this part's bits
          term.keep_mask = launch.upload(term.keep_mask + first_word, words) - first_word;
      cuda::delta_merge(launch.upload(operands), launch.upload(there), n, rule, offset,
                        operands.count(), result, storage, deltas, launch.stream());
      return count_nonfinite(out);
    }
  struct State {
    ReducedTerms terms;
    ChangedBase base;
  };
  const auto make = [&] {
    return State{{operands, terms, rule, offset},
                 {operands, rule.scale, rule.rounding, result, storage}};
  };
  return share_runs(operands.count(), make, [&](State& state, int64_t begin, int64_t size) {
    float run[kRun];
    state.terms.reduce(begin, size, run);
    constexpr auto kBytes = static_cast<int64_t>(sizeof(float));
    if (deltas) copy_non_temporal(run, size * kBytes, deltas + begin);
    return state.base.write(begin, size, run);
  });
}

int64_t add_delta_into(const at::Tensor& base, const at::Tensor& reduced, float scale,
                       at::Tensor& out) {
  const Operands operands(base, {});
  check_deltas(reduced, operands);
  const DType storage = operands.check_result(out);
  count_flops(kChangeFlops, operands.count());
  void* result = out.mutable_data_ptr();
  const auto* deltas = reduced.const_data_ptr<float>();
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      const CudaLaunch launch(operands.device());
      cuda::add_delta(operands[0], deltas, scale, operands.count(), result, storage,
                      launch.stream());
      return count_nonfinite(out);
    }
  const auto make = [&] { return ChangedBase(operands, scale, DType::kFloat32, result, storage); };
  return share_runs(operands.count(), make, [&](ChangedBase& changed, int64_t begin, int64_t size) {
    return changed.write(begin, size, deltas + begin);
  });
}

}  // namespace assay
