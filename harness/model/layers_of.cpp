#include "harness/model/layers_of.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/model/encoder.h"
#include "harness/model/forward.h"
#include "harness/model/language.h"
#include "harness/model/observer.h"
#include "harness/model/router_observer.h"
#include "harness/model/sequence_to_sequence.h"

namespace assay {
namespace {

/// How many products each value of a layer's output is a sum of.
int64_t products_per_value(const LayerInput& input) {
  if (input.kind == LayerKind::kLinear) return input.x.size(-1);
  const auto& [height, width] = input.window.kernel;
  return input.x.size(1) / input.window.groups * height * width;
}

/// Records the layers of a forward pass, and counts what they multiply.
class Trace final : public LayerObserver {
 public:
  explicit Trace(const StateDict& weights) : weights_(weights) {}

  void layer(const LayerInput& input) override {
    // Of several groups, the weight is not the matrix that multiplies the patches.
    if (input.window.groups > 1) return;
    LayerInfo info;
    info.weight = input.weight;
    info.kind = input.kind;
    info.in_out = input.in_out;
    info.inputs = products_per_value(input);
    constexpr std::string_view kWeight = "weight";
    const std::string bias =
        input.weight.substr(0, input.weight.size() - kWeight.size()).append("bias");
    if (weights_.contains(bias)) info.bias = bias;
    const auto same = std::find_if(inputs_.begin(), inputs_.end(), [&](const Input& other) {
      return other.x.is_same(input.x) && other.kind == input.kind && other.window == input.window;
    });
    info.input = same == inputs_.end() ? input.weight : same->first_weight;
    if (info.input == input.weight)
      inputs_.push_back({input.x, input.kind, input.window, input.weight});
    layers_.push_back(std::move(info));
  }
  void output(const LayerInput& input, const at::Tensor& y) override {
    flops[input.weight] += 2 * products_per_value(input) * y.numel();
    if (layers_.empty() || layers_.back().weight != input.weight) return;
    layers_.back().positions = y.numel() / y.size(input.kind == LayerKind::kLinear ? -1 : 1);
  }
  void embedding(const std::string& weight, const at::Tensor& /*vectors*/) override {
    embeddings_.insert(weight);
  }
  bool shapes_only() const override { return true; }

  std::vector<LayerInfo> plain_layers() const {
    std::vector<LayerInfo> plain;
    for (const LayerInfo& info : layers_)
      if (!embeddings_.contains(info.weight)) plain.push_back(info);
    return plain;
  }

  std::map<std::string, int64_t> flops;  ///< by weight

 private:
  struct Input {
    at::Tensor x;  ///< kept, so that no later tensor is at its place
    LayerKind kind;
    ConvolutionWindow window;  ///< another one reads other patches
    std::string first_weight;
  };
  const StateDict& weights_;
  std::vector<Input> inputs_;
  std::vector<LayerInfo> layers_;
  std::set<std::string> embeddings_;
};

class ExpertTrace final : public RouterObserver {
 public:
  void experts(const std::vector<std::vector<std::string>>& tensors, int64_t per_token) override {
    routers.push_back({tensors, per_token});
  }
  std::vector<RoutedExperts> routers;
};

bool is_routed(const Architecture& architecture) {
  return dynamic_cast<const RoutedArchitecture*>(&architecture) != nullptr;
}

void check_has_layers(const Architecture& architecture) {
  if (is_routed(architecture))
    user_error("a routed ensemble has no layers of its own: its members have them");
}

}  // namespace

ModelBatch example_batch(const Architecture& architecture) {
  const at::Tensor id = at::zeros({1, 1}, at::kLong);
  const at::Tensor all = at::ones({1, 1}, at::kBool);
  if (dynamic_cast<const LanguageArchitecture*>(&architecture) || is_routed(architecture))
    return {.inputs = id, .scored = all};
  if (const auto* model = dynamic_cast<const SequenceToSequenceArchitecture*>(&architecture))
    return {
        .inputs = id, .decoder_ids = at::full({1, 1}, model->start_id(), at::kLong), .scored = all};
  if (dynamic_cast<const EncoderArchitecture*>(&architecture)) return {.inputs = id};
  std::vector<int64_t> shape = architecture.item_shape();
  shape.insert(shape.begin(), 1);
  return {.inputs = at::zeros(shape)};
}

StateDict weights_without_memory(const Architecture& architecture) {
  StateDict weights;
  for (const TensorInfo& info : architecture.tensors())
    weights[info.name] = at::scalar_tensor(0.0f).expand(info.shape);
  return weights;
}

std::vector<LayerInfo> layers_of(const Architecture& architecture) {
  check_has_layers(architecture);
  return forward_profile(architecture).layers;
}

ForwardProfile forward_profile(const Architecture& architecture) {
  if (is_routed(architecture)) return {};
  const c10::NoGradGuard no_gradients;
  const StateDict weights = weights_without_memory(architecture);
  Trace trace(weights);
  ExpertTrace experts;
  row_logits(architecture, weights, example_batch(architecture));
  ForwardProfile profile{trace.plain_layers(), std::move(trace.flops), std::move(experts.routers)};
  const std::map<std::string, int64_t> blocks = block_of_tensors(architecture);
  for (LayerInfo& layer : profile.layers)
    if (const auto block = blocks.find(layer.weight); block != blocks.end())
      layer.block = block->second;
  return profile;
}

const ForwardProfile& ForwardProfiles::of(const Architecture& architecture) {
  const std::string config = canonical(architecture.config());
  const std::lock_guard lock(mutex_);
  auto known = profiles_.find(config);
  if (known == profiles_.end())
    known = profiles_.emplace(config, forward_profile(architecture)).first;
  return known->second;
}

std::vector<LayerInfo> layers_of(const Architecture& architecture,
                                 const std::vector<TensorInfo>& stored, ForwardProfiles& profiles) {
  check_has_layers(architecture);
  const CheckpointNames names = architecture.checkpoint_names();
  std::map<std::string, std::string> stored_names;
  for (const TensorInfo& info : stored)
    stored_names.emplace(canonical_name(names, info.name), info.name);
  std::vector<LayerInfo> layers;
  std::map<std::string, std::string> first_readers;  // of those that are stored, by input
  for (LayerInfo layer : profiles.of(architecture).layers) {
    const auto weight = stored_names.find(layer.weight);
    if (weight == stored_names.end()) continue;
    layer.weight = weight->second;
    layer.input = first_readers.emplace(layer.input, layer.weight).first->second;
    const auto bias = stored_names.find(layer.bias);
    layer.bias = bias == stored_names.end() ? "" : bias->second;
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::map<std::string, int64_t> block_of_tensors(const Architecture& architecture) {
  std::map<std::string, int64_t> blocks;
  int64_t index = 0;
  for (const std::vector<std::string>& names : architecture.blocks()) {
    for (const std::string& name : names) blocks.emplace(name, index);
    ++index;
  }
  return blocks;
}

std::map<std::string, int64_t> block_of_tensors(const Architecture& architecture,
                                                const std::vector<TensorInfo>& stored) {
  const CheckpointNames names = architecture.checkpoint_names();
  const std::map<std::string, int64_t> known = block_of_tensors(architecture);
  std::map<std::string, int64_t> blocks;
  for (const TensorInfo& info : stored)
    if (const auto block = known.find(canonical_name(names, info.name)); block != known.end())
      blocks.emplace(info.name, block->second);
  return blocks;
}

}  // namespace assay
