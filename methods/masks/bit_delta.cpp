#include <ATen/ATen.h>

#include "harness/kernels/task_vector/delta_statistics.h"
#include "methods/spectral/matrices.h"

namespace assay {
namespace {

/// BitDelta: each task model is the base plus, for every matrix, the signs of the expert's task
/// vector times their mean magnitude, which is the scale with the least squared error. A bit has no
/// third value: entries that the expert did not change count as plus, as in the authors' code.
///
/// These scales are where the authors begin. Their second step, which fits the scales to the
/// expert's scores on text, is left out. As with them embeddings, a language model's head and what
/// is no matrix are kept whole.
struct BitDelta {
  static constexpr MethodInfo info{
      .name = "bit_delta",
      .paper = "arXiv:2402.10193 §3.1",
      .summary = "the base, and each expert's task vector as signs and a scale for every matrix",
      .needs = {.base = true, .output = Output::kModelPerTask},
      .identity = "",  // of what a matrix changed only the mean magnitude is left
      .flops = "8 d for a task model"};
  MatrixRule matrices{{"*embed*", "*wte*", "*wpe*", "*shared.weight", "*lm_head*"}};
  TaskOthers others;

  void parameters(auto&& p) {
    matrices.parameters(p);
    others.parameters(p);
  }

  at::Tensor merge(const TensorJob& job) const {
    return matrices.applies(job) ? job.base : others.shared(job);
  }
  at::Tensor merge_for(const TensorJob& job, size_t expert) const {
    if (!matrices.applies(job)) return others.own(job, expert);
    const at::Tensor base = job.base.to(at::kFloat);
    const double scale =
        delta_l1_norms(job.base, job.experts[expert], {}).whole / static_cast<double>(base.numel());
    const at::Tensor plus = (job.experts[expert].to(at::kFloat) - base).ge(0);
    return at::where(plus, base + scale, base - scale);
  }

  /// A bit per entry of a matrix, and its scale.
  int64_t task_bytes(const std::vector<TensorInfo>& tensors) const {
    int64_t bytes = 0;
    for (const TensorInfo& tensor : tensors)
      bytes += matrices.applies(tensor.name, tensor.shape)
                   ? (tensor.numel() + 7) / 8 + static_cast<int64_t>(sizeof(float))
                   : others.bytes(tensor);
    return bytes;
  }
};

ASSAY_METHOD(BitDelta)

}  // namespace
}  // namespace assay
