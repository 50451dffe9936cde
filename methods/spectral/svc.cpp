#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/inner_merge.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// SVC: scales every singular value of a merged task vector by how much its direction has gained or
/// lost against the experts' own responses along it.
struct Svc {
  static constexpr MethodInfo info{
      .name = "svc",
      .paper = "arXiv:2602.05536 §4",
      .summary = "another method's merge with singular values that several tasks share scaled down",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "alpha": 1})",
      .flops = "(2 N + 6) m n^2 + 9 n^3 with Task Arithmetic"};
  static constexpr Preset presets[] = {
      {"iso_c", R"({"of": {"method": "iso_c", "scale": 1.5}})", "the paper's settings for Iso-C"},
      {"iso_cts", R"({"of": {"method": "iso_cts", "scale": 1.5}, "alpha": 0.2})",
       "the paper's settings for Iso-CTS"},
      {"tsv_m", R"({"of": "tsv_m", "alpha": 1})", "the paper's settings for TSV-M"}};
  MethodComponent of{"task_arithmetic"};
  double alpha = 0.1;
  MatrixRule matrices{kEmbeddings};

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method whose result is calibrated"});
    p(alpha, {.name = "alpha",
              .range = {1e-3, 10},
              .sweep = {0.1, 0.2, 0.5, 1.0},
              .help = "the least share of an expert's response that counts as left in the merge: "
                      "the lower, the more weak directions are raised"});
    matrices.parameters(p);
  }
  std::optional<std::string> conflict() const { return inner_conflict(*of); }
  void prepare(const ModelJob& job) { of->prepare(InnerModel(job)); }

  at::Tensor merge(const TensorJob& job) const {
    at::Tensor merged = merge_inner(*of, job, job.base, job.experts);
    if (!matrices.applies(job)) return merged;
    const OneThread one;
    const at::Tensor base = job.base.to(at::kDouble).flatten(1);
    const Svd factors = factorize(merged.to(at::kDouble).flatten(1) - base);
    at::Tensor sum = at::zeros_like(factors.s);
    for (size_t i = 0; i < job.experts.size(); ++i)
      sum += kept(factors, delta_matrix(job, i)).clamp_min(alpha);
    const at::Tensor values = factors.s * static_cast<double>(job.experts.size()) / sum;
    return add_matrix(job, Svd{factors.u, values, factors.v}.product(), 1);
  }

 private:
  /// Of every direction, the share of the expert's response that is left in the merge: the
  /// coefficient of the merge's response in a projection onto the expert's.
  static at::Tensor kept(const Svd& merged, const at::Tensor& delta) {
    const at::Tensor own = merged.u.t().mm(delta);  // a row per direction
    const at::Tensor both = (own * merged.v.t()).sum(1) * merged.s;
    return both / own.square().sum(1).clamp_min(1e-12);  // the authors' bound
  }
};

ASSAY_METHOD(Svc)

}  // namespace
}  // namespace assay
