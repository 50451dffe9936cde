// A modifier: half of what another method changes of the base.
#include "harness/method/modifier.h"
#include "harness/kernels/sums/weighted_sum.h"

namespace assay {
namespace {

struct TestHalf {
  static constexpr MethodInfo info{.name = "test_half",
                                   .paper = "https://example.org/half",
                                   .summary = "half of what another method changes of the base",
                                   .needs = {.base = true},
                                   .identity = ""};  // half of the way to it

  void parameters(auto&&) {}
  at::Tensor finish(const TensorJob& part, const at::Tensor& merged) const {
    return weighted_sum({part.base, merged}, {0.5, 0.5});
  }
};

ASSAY_MODIFIER(TestHalf)

}  // namespace
}  // namespace assay
