#include "harness/kernels/task_vector/delta_merge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/dtype/nonfinite.h"
#include "harness/kernels/internal/launch.h"
#include "harness/kernels/task_vector/loops_delta.h"
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
    uint32_t largest = 0;
    if (storage_ == base_.storage) {
      const int64_t width = dtype_bytes(storage_);
      char* to = static_cast<char*>(out_) + begin * width;
      if (!change_past_caches(base_, begin, reduced, scale_, rounding_, size, to, largest)) {
        alignas(64) char merged[kRun * sizeof(double)];
        largest = change_stored(base_, begin, reduced, scale_, rounding_, size, merged);
        copy_past_caches(merged, size * width, to);
      }
    } else {
      float merged[kRun];
      start_.load(begin, size);
      largest = change_run(start_[0], reduced, scale_, rounding_, size, merged);
      store_run(merged, begin, size, out_, storage_);
    }
    return largest > largest_finite(storage_) ? nonfinite_run({out_, storage_}, begin, size) : 0;
  }

 private:
  Operand base_;
  RunValues start_;
  float scale_;
  DType rounding_;
  void* out_;
  DType storage_;
};

/// Reduced deltas in memory, run by run in the order of a block. Those of a packed block take the
/// beginning of the room that they would take otherwise; which are there stands behind all rooms.
class KeptDelta {
 public:
  KeptDelta(float* values, int64_t count, DeltaForm form) : values_(values), form_(form) {
    if (form == DeltaForm::kPacked) present_ = reinterpret_cast<uint32_t*>(values + count);
  }
  /// Elements [begin, begin + size), a run.
  void write(int64_t begin, int64_t size, const float* deltas) {
    if (form_ == DeltaForm::kDense)
      return copy_past_caches(deltas, size * static_cast<int64_t>(sizeof(float)), values_ + begin);
    const int64_t count = pack_run(deltas, size, run_, present_ + begin / kMaskBits);
    std::copy_n(run_, count, place(begin));
    next_ += count;
  }
  /// The same; what it returns is good until the next call.
  const float* read(int64_t begin, int64_t size) {
    if (form_ == DeltaForm::kDense) return values_ + begin;
    const int64_t count = unpack_run(place(begin), present_ + begin / kMaskBits, size, run_);
    next_ += count;
    return run_;
  }

 private:
  // Where the packed values of a run are.
  float* place(int64_t begin) {
    if (begin % kBlock == 0) next_ = values_ + begin;
    return next_;
  }

  float* values_;
  uint32_t* present_ = nullptr;
  DeltaForm form_;
  float* next_ = nullptr;
  alignas(64) float run_[kRun];
};

/// Checks that a tensor takes or holds them.
void check_deltas(const at::Tensor& deltas, const Operands& operands, DeltaForm form) {
  const bool packed = form == DeltaForm::kPacked;
  const int64_t room = packed ? delta_room(operands.count()) : operands.count();
  ASSAY_CHECK(deltas.scalar_type() == at::kFloat && deltas.is_contiguous() &&
              deltas.device() == operands.device() && deltas.numel() >= room);
  ASSAY_CHECK(!packed || !operands.on_cuda());
}

}  // namespace

int64_t delta_room(int64_t count) { return count + (count + kMaskBits - 1) / kMaskBits; }

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
                         at::Tensor& out, int64_t offset, at::Tensor* reduced, DeltaForm form) {
  ASSAY_CHECK(!terms.empty() && terms.size() == experts.size() && offset % 64 == 0);
  for (const DeltaTerm& term : terms) ASSAY_CHECK(term.rounding == rule.rounding);
  const Operands operands(base, experts);
  const DType storage = operands.check_result(out);
  const int n = operands.size() - 1;
  count_flops(delta_flops(terms) + reduce_flops(n, rule) + (reduced ? 0 : kChangeFlops),
              operands.count());
  void* result = out.mutable_data_ptr();
  if (reduced) check_deltas(*reduced, operands, form);
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
  std::atomic<int64_t> nonfinite{0};
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    ReducedTerms reduction(operands, terms, rule.elect, offset);
    ChangedBase changed(operands, rule.scale, rule.rounding, result, storage);
    KeptDelta kept(deltas, operands.count(), form);
    alignas(64) float reduced_run[kRun];
    int64_t bad = 0;
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        reduction.reduce(begin, size, rule, reduced_run);
        if (deltas) kept.write(begin, size, reduced_run);
        bad += changed.write(begin, size, reduced_run);
      });
    nonfinite += bad;
  });
  return nonfinite;
}

int64_t add_delta_into(const at::Tensor& base, const at::Tensor& reduced, float scale,
                       at::Tensor& out, DeltaForm form) {
  const Operands operands(base, {});
  check_deltas(reduced, operands, form);
  const DType storage = operands.check_result(out);
  count_flops(kChangeFlops, operands.count());
  void* result = out.mutable_data_ptr();
  auto* deltas = const_cast<float*>(reduced.const_data_ptr<float>());
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      const CudaLaunch launch(operands.device());
      cuda::add_delta(operands[0], deltas, scale, operands.count(), result, storage,
                      launch.stream());
      return count_nonfinite(out);
    }
  std::atomic<int64_t> nonfinite{0};
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    ChangedBase changed(operands, scale, DType::kFloat32, result, storage);
    KeptDelta kept(deltas, operands.count(), form);
    int64_t bad = 0;
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        bad += changed.write(begin, size, kept.read(begin, size));
      });
    nonfinite += bad;
  });
  return nonfinite;
}

}  // namespace assay
