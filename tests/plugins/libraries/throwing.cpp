// Throws when it is merged with: 7, or an exception.
#include <stdexcept>

#include "harness/method/method.h"

namespace assay {
namespace {

struct TestThrowing {
  static constexpr MethodInfo info{.name = "test_throwing",
                                   .paper = "https://example.org/throwing",
                                   .summary = "throws",
                                   .elementwise = true,
                                   .identity = ""};  // it gives nothing
  bool exception = false;

  void parameters(auto&& p) { p(exception, {.name = "exception", .help = "of the standard's"}); }
  at::Tensor merge(const TensorJob&) const {
    if (exception) throw std::runtime_error("out of patience");
    throw 7;
  }
};

ASSAY_METHOD(TestThrowing)

}  // namespace
}  // namespace assay
