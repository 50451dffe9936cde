#include "methods/dense/part_deltas.h"

namespace assay {
namespace {

/// MagMax: of each entry the delta of largest magnitude, whatever its sign. Of equal magnitudes the
/// first expert's counts.
struct MagMax {
  static constexpr MethodInfo info{.name = "magmax",
                                   .paper = "arXiv:2407.06322 §4",
                                   .summary = "per entry the task vector of largest magnitude",
                                   .needs = {.base = true},
                                   .elementwise = true,
                                   .identity = R"({"scale": 1})",
                                   .flops = "(4 N - 1) d"};
  double scale = 0.5;

  void parameters(auto&& p) {
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0},
              .help = "multiplier of the merged task vector"});
  }

  at::Tensor merge(const TensorJob& part) const {
    at::Tensor largest = part_delta(part, 0);
    for (size_t i = 1; i < part.experts.size(); ++i) {
      const at::Tensor delta = part_delta(part, i);
      largest = at::where(delta.abs() > largest.abs(), delta, largest);
    }
    return add_to_base(part, largest, scale);
  }
};

ASSAY_METHOD(MagMax)

}  // namespace
}  // namespace assay
