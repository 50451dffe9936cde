// A router: expert i gets the tokens whose value i is large.
#include <ATen/ATen.h>

#include "harness/method/router.h"

namespace assay {
namespace {

struct TestFirstValues {
  static constexpr RouterInfo info{.name = "test_first_values",
                                   .paper = "https://example.org/first-values",
                                   .summary = "expert i gets the tokens whose value i is large"};

  void parameters(auto&&) {}
  std::vector<at::Tensor> gates(const RouterJob& job) const {
    return std::vector<at::Tensor>(job.gates.size(),
                                   at::eye(static_cast<int64_t>(job.experts), job.width));
  }
};

ASSAY_ROUTER(TestFirstValues)

}  // namespace
}  // namespace assay
