#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"
#include "methods/spectral/truncation.h"

namespace assay {
namespace {

/// TSV-M: the leading singular components of every task vector side by side, their vectors made
/// orthogonal across tasks.
struct TsvM {
  static constexpr MethodInfo info{
      .name = "tsv_m",
      .paper = "arXiv:2412.00081 §4.2",
      .summary = "leading singular components of all task vectors, made orthogonal across tasks",
      .needs = {.base = true},
      .identity = R"({"rank": 1})",
      .flops = "N (2 m n^2 + 9 n^3) + 10 m n^2 + 24 n^3"};
  static constexpr Preset presets[] = {
      {"lossless", R"({"rank": 1})", "every component of every task vector"},
      {"merge_and_rebase", R"({"others": "base"})",
       "as in merge-and-rebase: tensors that are no matrices stay the base's"}};
  double scale = 1;
  Truncation truncation;
  MatrixRule matrices;
  Others others = Others::kMean;

  void parameters(auto&& p) {
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4},
              .help = "multiplier of the merged task vector, of every tensor"});
    truncation.parameters(p);
    matrices.parameters(p);
    others_parameter(others, p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (!matrices.applies(job)) return merge_other(job, others, scale);
    std::vector<at::Tensor> sides[2], values(job.experts.size());
    for (std::vector<at::Tensor>& side : sides) side.resize(job.experts.size());
    for_each_matrix(job, job.experts.size(), [&](size_t i) {
      const at::Tensor delta = delta_matrix(job, i);
      Svd factors = factorize(delta, {.most = truncation.kept(delta, job)});
      sides[0][i] = std::move(factors.u);
      sides[1][i] = std::move(factors.v);
      values[i] = std::move(factors.s);
    });
    at::Tensor orthogonal[2];
    for_each_matrix(job, 2, [&](size_t i) { orthogonal[i] = polar_factor(at::cat(sides[i], 1)); });
    const OneThread one;
    const at::Tensor delta = (orthogonal[0] * at::cat(values)).mm(orthogonal[1].t());
    return add_matrix(job, delta, scale);
  }
};

ASSAY_METHOD(TsvM)

}  // namespace
}  // namespace assay
