#include <ATen/ATen.h>

#include "methods/dense/weights.h"

namespace assay {
namespace {

/// NearSwap: the first model goes towards the second by at most `t` in every entry, so that near
/// entries are swapped and far ones keep all but a step.
struct NearSwap {
  static constexpr MethodInfo info{
      .name = "nearswap",
      .paper = "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
      .summary = "the first expert, moved towards the second by a bounded step in every entry",
      .needs = {.min_experts = 2, .max_experts = 2},
      .elementwise = true,
      .flops = "5 d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage"})",
       "mergekit's nearswap: where the models are closer than 1e-6 a smaller t moves them by a "
       "share of t / 1e-6"}};
  double t = 1e-4;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(t, {.name = "t",
          .range = {0, 10},
          .sweep = {1e-5, 1e-4, 1e-3, 1e-2},
          .help = "the largest step; entries closer than this become the second expert's"});
    compute_parameter(compute, p);
  }

  at::Tensor merge(const TensorJob& part) const {
    if (compute == Compute::kStorage) return weighted(part.experts[0], part.experts[1]);
    const at::Tensor first = part.experts[0].to(at::kFloat);
    const at::Tensor difference = part.experts[1].to(at::kFloat) - first;
    // The second expert itself where the step reaches it: a sum would round.
    return at::where(difference.abs() <= t, part.experts[1].to(at::kFloat),
                     first + difference.clamp(-t, t));
  }

 private:
  at::Tensor weighted(const at::Tensor& first, const at::Tensor& second) const {
    constexpr double kLeastDistance = 1e-6;
    const at::Tensor distance = (first - second).abs().clamp_min(kLeastDistance);
    const at::Tensor weight = (t * distance.reciprocal()).clamp(0, 1);
    return weight * second + (1 - weight) * first;
  }
};

ASSAY_METHOD(NearSwap)

}  // namespace
}  // namespace assay
