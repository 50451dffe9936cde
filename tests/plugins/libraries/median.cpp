// A method: the median of the experts, element by element.
#include <ATen/ATen.h>

#include "harness/method/method.h"

namespace assay {
namespace {

struct TestMedian {
  static constexpr MethodInfo info{.name = "test_median",
                                   .paper = "https://example.org/median",
                                   .summary = "the median of the experts",
                                   .elementwise = true};

  void parameters(auto&&) {}

  at::Tensor merge(const TensorJob& part) const {
    std::vector<at::Tensor> values;
    for (const at::Tensor& expert : part.experts) values.push_back(expert.to(at::kFloat));
    return std::get<0>(at::stack(values).median(0));
  }
};

ASSAY_METHOD(TestMedian)

}  // namespace
}  // namespace assay
