#include <ATen/core/Tensor.h>

#include "harness/kernels/sums/weighted_sum.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// One expert as it is, or scaled.
struct Passthrough {
  static constexpr MethodInfo info{.name = "passthrough",
                                   .paper = "https://github.com/arcee-ai/mergekit (passthrough)",
                                   .summary = "one expert as it is, or scaled",
                                   .needs = {.max_experts = 1},
                                   .elementwise = true,
                                   .own_moments = true,
                                   .flops = "0"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage"})", "mergekit's passthrough: scaled in storage dtype"}};
  double scale = 1;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(scale, {.name = "scale", .range = {-10, 10}, .help = "multiplies every value"});
    compute_parameter(compute, p);
  }

  at::Tensor merge(const TensorJob& part) const {
    const at::Tensor& expert = part.experts.front();
    if (scale == 1) return expert;
    const at::Tensor scaled = scaled_sum({expert}, scale);
    return compute == Compute::kStorage ? scaled.to(expert.scalar_type()) : scaled;
  }
};

ASSAY_METHOD(Passthrough)

}  // namespace
}  // namespace assay
