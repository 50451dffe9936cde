// Registers a name that Assay has built in.
#include "harness/method/method.h"

namespace assay {
namespace {

struct OtherTies {
  static constexpr MethodInfo info{.name = "ties",
                                   .paper = "https://example.org/ties",
                                   .summary = "another one",
                                   .elementwise = true};

  void parameters(auto&&) {}
  at::Tensor merge(const TensorJob& part) const { return part.experts.front(); }
};

ASSAY_METHOD(OtherTies)

}  // namespace
}  // namespace assay
