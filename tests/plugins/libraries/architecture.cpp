// An architecture: one linear layer.
#include <ATen/ATen.h>

#include "harness/model/architecture.h"
#include "harness/model/internal/layers.h"

namespace assay {
namespace {

struct TestSoftmax {
  static constexpr std::string_view name = "test_softmax";
  static constexpr std::string_view summary = "one linear layer";
  static constexpr std::string_view paper = "";

  int64_t inputs = 2;

  void parameters(auto&& p) {
    p(inputs, {.name = "inputs", .range = {1, 64}, .help = "values per item, and classes"});
  }
  std::vector<TensorInfo> tensors() const {
    return {{"head.bias", at::kFloat, {inputs}}, {"head.weight", at::kFloat, {inputs, inputs}}};
  }
  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }
  std::vector<int64_t> item_shape() const { return {inputs}; }
  at::Tensor logits(const StateDict& weights, const at::Tensor& x) const {
    return linear(weights, "head", x);
  }
};

ASSAY_ARCHITECTURE(TestSoftmax)

}  // namespace
}  // namespace assay
