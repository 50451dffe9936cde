#include <ATen/ATen.h>

#include "harness/core/glob.h"
#include "methods/spectral/spectral_wrapper.h"

namespace assay {
namespace {

/// MAGIC's calibration in weight space: a merge shrinks rows of task vectors that point in
/// different directions. Each row of what it changed is scaled to the mean norm of the experts'
/// rows; of most layers it may only grow, of sensitive ones only shrink. The calibration of
/// features, which the paper also has, is left out: it changes the network's outputs and not its
/// weights. The authors' later code scales rows onto an ellipsoid that the experts' rows span, in
/// place of their mean norm.
struct Magic : SpectralWrapper {
  static constexpr MethodInfo info{
      .name = "magic",
      .paper = "arXiv:2512.19320 §4 (weight space)",
      .summary = "another method's merge with each row's change as large as the experts' mean",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}})",
      .flops = "(5 N + 5) d with Task Arithmetic"};
  std::vector<std::string> sensitive;

  Magic() : SpectralWrapper(MatrixRule{kEmbeddings, /*unfold=*/true}) {}

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method whose result is calibrated"});
    p(sensitive, {.name = "sensitive",
                  .help = "globs of tensors whose rows are scaled down and never up; the authors "
                          "name them by model (of CLIP '*c_proj*' and '*conv1*'). All others are "
                          "scaled up and never down"});
    matrices.parameters(p);
  }

  at::Tensor merge(const TensorJob& job) const {
    return inner_changed(job, [&](const at::Tensor& change) {
      at::Tensor wanted = at::zeros({change.size(0)}, change.options());
      for (size_t i = 0; i < job.experts.size(); ++i) wanted += delta_matrix(job, i).norm(2, 1);
      wanted /= static_cast<double>(job.experts.size());
      const at::Tensor norms = change.norm(2, 1);
      // A row that the merge did not change has no direction to be scaled in.
      const at::Tensor ratios = at::where(norms > 0, wanted / norms, 1.0);
      const at::Tensor factors =
          matches_any(sensitive, job.name) ? ratios.clamp_max(1) : ratios.clamp_min(1);
      job.report("factor_mean", factors.mean().item<double>());
      return change * factors.unsqueeze(1);
    });
  }
};

ASSAY_METHOD(Magic)

}  // namespace
}  // namespace assay
