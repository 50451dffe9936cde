/// A perceptron with one hidden layer, for inputs of any shape with `inputs` values per item.
#include <ATen/ATen.h>

#include "harness/model/architecture.h"
#include "harness/model/internal/layers.h"

namespace assay {
namespace {

struct Mlp {
  static constexpr std::string_view name = "mlp";
  static constexpr std::string_view summary = "linear, ReLU, linear on flattened inputs";
  static constexpr std::string_view paper = "Rumelhart et al., doi:10.1038/323533a0";

  int64_t inputs = 784;
  int64_t hidden = 64;
  int64_t classes = 10;

  void parameters(auto&& p) {
    p(inputs, {.name = "inputs", .range = {1, 1 << 24}, .help = "values per item"});
    p(hidden, {.name = "hidden", .range = {1, 65536}, .help = "width of the hidden layer"});
    p(classes, {.name = "classes", .range = {1, 100000}, .help = "size of the label space"});
  }

  std::vector<TensorInfo> tensors() const {
    return {{"head.bias", at::kFloat, {classes}},
            {"head.weight", at::kFloat, {classes, hidden}},
            {"hidden.bias", at::kFloat, {hidden}},
            {"hidden.weight", at::kFloat, {hidden, inputs}}};
  }

  void set_widths(const std::map<std::string, std::vector<int64_t>>& shapes) {
    hidden = shapes.at("hidden.bias").front();
  }

  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }

  std::vector<int64_t> item_shape() const { return {inputs}; }

  at::Tensor logits(const StateDict& weights, const at::Tensor& x) const {
    const at::Tensor flat = x.flatten(1);
    check_inputs(name, flat, item_shape());
    return linear(weights, "head", at::relu(linear(weights, "hidden", flat)));
  }
};

ASSAY_ARCHITECTURE(Mlp)

}  // namespace
}  // namespace assay
