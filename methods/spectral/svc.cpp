#include <ATen/ATen.h>

#include "methods/spectral/spectral_wrapper.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// SVC: scales every singular value of a merged task vector by how much its direction has gained or
/// lost against the experts' own responses along it.
struct Svc : SpectralWrapper {
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
  double alpha = 0.1;

  Svc() : SpectralWrapper(MatrixRule{kEmbeddings}) {}

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method whose result is calibrated"});
    p(alpha, {.name = "alpha",
              .range = {1e-3, 10},
              .sweep = {0.1, 0.2, 0.5, 1.0},
              .help = "the least share of an expert's response that counts as left in the merge: "
                      "the lower, the more weak directions are raised"});
    matrices.parameters(p);
  }

  at::Tensor merge(const TensorJob& job) const {
    return inner_changed(job, [&](const at::Tensor& change) {
      const Svd factors = factorize(change);
      at::Tensor sum = at::zeros_like(factors.s);
      for (size_t i = 0; i < job.experts.size(); ++i)
        sum += kept(factors, delta_matrix(job, i)).clamp_min(alpha);
      const at::Tensor values = factors.s * static_cast<double>(job.experts.size()) / sum;
      return Svd{factors.u, values, factors.v}.product();
    });
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
