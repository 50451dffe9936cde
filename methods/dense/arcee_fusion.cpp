#include <ATen/ATen.h>

#include <cmath>

#include "harness/kernels/one_thread.h"
#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// Arcee Fusion: the first model takes over those entries of the second that matter. An entry's
/// importance is its distance times the divergence of the two rows' softmax; the threshold is the
/// median and 1.5 interquartile ranges.
struct ArceeFusion {
  enum class Divergence { kExact, kShifted };
  enum class Quantile { kLinear, kLower };

  static constexpr MethodInfo info{
      .name = "arcee_fusion",
      .paper = "https://github.com/arcee-ai/mergekit (arcee_fusion)",
      .summary = "the first expert, with the outlying changes of the second",
      .needs = {.min_experts = 2, .max_experts = 2},
      .flops = "19 d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage", "divergence": "shifted", "quantile": "lower"})",
       "mergekit's arcee_fusion; in tensors of more than 1,000,000 entries mergekit estimates the "
       "quantiles from a random sample, here they are exact"}};
  Divergence divergence = Divergence::kExact;
  Quantile quantile = Quantile::kLinear;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(divergence, {.name = "divergence",
                   .choices = {"exact", "shifted"},
                   .help = "the Kullback-Leibler divergence itself, or of probabilities to which "
                           "1e-8 was added (mergekit)"});
    p(quantile, {.name = "quantile",
                 .choices = {"linear", "lower"},
                 .help = "between two values a quantile is interpolated, or the lower of them "
                         "(mergekit)"});
    compute_parameter(compute, p);
  }

  at::Tensor merge(const TensorJob& job) const {
    at::Tensor first = in_arithmetic(job.experts[0], compute);
    const at::Tensor second = in_arithmetic(job.experts[1], compute);
    if (first.numel() == 0) return first;
    const at::Tensor importance = (second - first).abs() * divergence_of_rows(second, first);
    const at::Tensor taken = importance >= threshold(importance);
    job.report("taken_frac", taken.to(at::kDouble).mean().item<double>());
    // mergekit adds the difference, which was rounded, to the first.
    if (compute == Compute::kStorage)
      return first.to(at::kFloat) + (second - first).to(at::kFloat) * taken;
    return at::where(taken, second, first);
  }

 private:
  at::Tensor divergence_of_rows(const at::Tensor& of, const at::Tensor& from) const {
    const OneThread one;
    if (divergence == Divergence::kShifted) {
      const at::Tensor p = of.softmax(-1) + 1e-8, q = from.softmax(-1) + 1e-8;
      return (p * (p / q).log()).sum(-1, /*keepdim=*/true);
    }
    const at::Tensor p = of.to(at::kDouble).log_softmax(-1);
    const at::Tensor q = from.to(at::kDouble).log_softmax(-1);
    // Rounding must not make it negative.
    return (p.exp() * (p - q)).sum(-1, /*keepdim=*/true).clamp_min(0).to(of.scalar_type());
  }
  at::Tensor threshold(const at::Tensor& importance) const {
    const at::Tensor sorted = std::get<0>(importance.flatten().sort());
    const auto at = [&](float share) {
      const float place = share * static_cast<float>(sorted.numel() - 1);
      const auto below = static_cast<int64_t>(place);
      if (quantile == Quantile::kLower) return sorted[below];
      const int64_t above = std::min(below + 1, sorted.numel() - 1);
      return at::lerp(sorted[below], sorted[above], place - static_cast<float>(below));
    };
    return at(0.5F) + 1.5 * (at(0.75F) - at(0.25F));
  }
};

ASSAY_METHOD(ArceeFusion)

}  // namespace
}  // namespace assay
