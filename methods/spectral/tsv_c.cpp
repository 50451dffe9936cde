#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"
#include "methods/spectral/truncation.h"

namespace assay {
namespace {

/// TSV-C: each task model is the base plus its own task vector, of which matrices are compressed to
/// their leading singular components.
struct TsvC {
  static constexpr MethodInfo info{
      .name = "tsv_c",
      .paper = "arXiv:2412.00081 §4.1",
      .summary = "the base, and each expert's task vector cut to its leading singular components",
      .needs = {.base = true, .output = Output::kModelPerTask},
      .identity = "",  // tasks of no expert get the base
      .flops = "4 m n^2 + 9 n^3 for a task model"};
  Truncation truncation;
  MatrixRule matrices;
  TaskOthers others;

  void parameters(auto&& p) {
    truncation.parameters(p);
    matrices.parameters(p);
    others.parameters(p);
  }

  void prepare(const ModelJob& job) { experts_ = job.num_experts(); }

  at::Tensor merge(const TensorJob& job) const {
    return matrices.applies(job) ? job.base : others.shared(job);
  }
  at::Tensor merge_for(const TensorJob& job, size_t expert) const {
    if (!matrices.applies(job)) return others.own(job, expert);
    const at::Tensor delta = delta_matrix(job, expert);
    const Svd factors = factorize(delta, {.most = truncation.kept(delta, job)});
    const OneThread one;
    return add_matrix(job, factors.product(), 1);
  }

  /// Both singular vectors and the value of every component, in float32; others that are an
  /// expert's own as they are stored.
  int64_t task_bytes(const std::vector<TensorInfo>& tensors) const {
    int64_t bytes = 0;
    for (const TensorInfo& tensor : tensors) {
      if (matrices.applies(tensor.name, tensor.shape)) {
        const int64_t rows = tensor.shape[0], columns = tensor.numel() / rows;
        bytes += static_cast<int64_t>(sizeof(float)) * (rows + columns + 1) *
                 truncation.kept(std::min(rows, columns), experts_, tensor.name);
      } else {
        bytes += others.bytes(tensor);
      }
    }
    return bytes;
  }

 private:
  size_t experts_ = 1;
};

ASSAY_METHOD(TsvC)

}  // namespace
}  // namespace assay
