/// A perceptron with one hidden layer, for inputs of any shape with `inputs` values per item.
#include <ATen/ATen.h>

#include "harness/model/architecture.h"

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

  StateDict initial_weights(uint64_t seed) const { return kaiming_weights(tensors(), seed); }

  at::Tensor logits(const StateDict& w, const at::Tensor& x) const {
    const at::Tensor flat = x.flatten(1);
    check_inputs(name, flat, {inputs});
    const at::Tensor h = at::relu(at::linear(flat, w.at("hidden.weight"), w.at("hidden.bias")));
    return at::linear(h, w.at("head.weight"), w.at("head.bias"));
  }
};

ASSAY_ARCHITECTURE(Mlp)

}  // namespace
}  // namespace assay
