#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// Iso-C: the sum of the task vectors, with all of its singular values replaced by their mean.
struct IsoC {
  static constexpr MethodInfo info{
      .name = "iso_c",
      .paper = "arXiv:2502.04959 §4.1",
      .summary = "the sum of the task vectors with equal singular values",
      .needs = {.base = true},
      .identity = "",  // the singular values of an expert's own task
      .flops = "6 m n^2 + 9 n^3 + (2 N + 5) d"};
  // vector are not equal
  static constexpr Preset presets[] = {
      {"merge_and_rebase", R"({"others": "base"})",
       "as in merge-and-rebase: tensors that are no matrices stay the base's"}};
  double scale = 1;
  MatrixRule matrices;
  Others others = Others::kMean;

  void parameters(auto&& p) {
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5},
              .help = "multiplier of the merged task vector, of every tensor; the paper's are 1.3, "
                      "1.0 and 0.9 for 8, 14 and 20 tasks of ViT-B/32"});
    matrices.parameters(p);
    others_parameter(others, p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (!matrices.applies(job)) return merge_other(job, others, scale);
    at::Tensor sum = delta_matrix(job, 0);
    for (size_t i = 1; i < job.experts.size(); ++i) sum += delta_matrix(job, i);
    const Svd factors = factorize(sum);
    const OneThread one;
    const double mean =
        factors.s.sum().item<double>() / static_cast<double>(std::min(sum.size(0), sum.size(1)));
    return add_matrix(job, factors.directions(), scale * mean);
  }
};

ASSAY_METHOD(IsoC)

}  // namespace
}  // namespace assay
