/// Network architectures. One file each: a struct with its configuration fields, the names and
/// shapes of its tensors, and a forward pass as a function of a StateDict. Merged weights are
/// therefore a model without conversion. Gradients flow to weights that require them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/parameters.h"
#include "harness/core/registry.h"

namespace assay {

/// How checkpoints of an architecture may differ from its tensors() and still hold the same model.
struct CheckpointNames {
  /// (prefix, replacement): renames a checkpoint's tensors that start with the prefix. The first
  /// match applies.
  std::vector<std::pair<std::string, std::string>> renamed{};
  /// (suffix, replacement): likewise for suffixes.
  std::vector<std::pair<std::string, std::string>> renamed_ends{};
  /// Prefixes or suffixes of tensors that the architecture does not use: buffers, other heads.
  std::vector<std::string> ignored{};
  /// (name, original): the tensor equals the original, whether it is stored or not.
  std::vector<std::pair<std::string, std::string>> tied{};
  /// (name, original): the original replaces the tensor where that is not stored.
  std::vector<std::pair<std::string, std::string>> substituted{};
};

/// The architecture's own name of the stored tensor `stored`.
std::string canonical_name(const CheckpointNames& names, const std::string& stored);

class Architecture {
 public:
  virtual ~Architecture() = default;
  /// The content of config.json: "model_type" and every field.
  virtual Json config() const = 0;
  /// Every tensor's name, dtype and shape, in name order. Makes no weights.
  virtual std::vector<TensorInfo> tensors() const = 0;
  /// Fresh random weights, float32 on CPU; a function of the seed alone.
  virtual StateDict initial_weights(uint64_t seed) const = 0;
  /// Class scores [n, classes] for a batch of inputs [n, ...], on the weights' device and dtype.
  /// DataError when the inputs do not have the shape that the architecture takes.
  virtual at::Tensor logits(const StateDict& weights, const at::Tensor& inputs) const = 0;
  virtual CheckpointNames checkpoint_names() const { return {}; }
  /// The names of the tensors of every transformer block, in the order in which they run: an
  /// encoder's before the decoder's. Embeddings, heads and what blocks share are in none.
  virtual std::vector<std::vector<std::string>> blocks() const { return {}; }
  /// Whether blocks may be on different devices: hidden states are moved to the device of a block's
  /// weights. All other tensors must be on one device.
  virtual bool can_be_split() const { return false; }
  /// The shape of one input, where logits() takes [n, item...]; empty where it takes token ids.
  virtual std::vector<int64_t> item_shape() const { return {}; }
  /// The config.json of a model whose tensors have these shapes, by name; absent where the fields
  /// cannot say so.
  virtual std::optional<Json> config_of_shapes(
      const std::map<std::string, std::vector<int64_t>>& /*shapes*/) const {
    return std::nullopt;
  }
};

struct ArchitectureEntry {
  std::string summary;
  std::string paper;
  std::vector<ParamDoc> fields;
  std::function<std::unique_ptr<Architecture>(const JsonReader& config)> make;
  std::string example = "{}";  ///< config.json of a small model, without "model_type"
};

Registry<ArchitectureEntry>& architectures();

/// From the content of a config.json: "model_type" names the architecture, the other keys are its
/// fields. UserError on unknown names and fields.
std::unique_ptr<Architecture> make_architecture(JsonReader config);

/// Reads the weights to the device and dtype, under the names of tensors(). Checks that `source`
/// holds exactly the tensors of the architecture (up to its checkpoint_names()) with the right
/// shapes. DataError names the first tensor that is missing, unexpected or of the wrong
/// shape, or a tied tensor that differs from its original. Without `dtype` the stored dtype stays.
/// Tensors that need neither conversion nor another device share the source's memory.
StateDict load_weights(const Architecture& architecture, const TensorSource& source,
                       at::Device device, std::optional<at::ScalarType> dtype = std::nullopt);

/// A device for every tensor of an architecture, by name.
using DeviceMap = std::map<std::string, at::Device>;

/// The same with one device per tensor.
StateDict load_weights(const Architecture& architecture, const TensorSource& source,
                       const DeviceMap& devices,
                       std::optional<at::ScalarType> dtype = std::nullopt);

/// He et al., arXiv:1502.01852: weights of two or more dimensions [out, ...] are normal with
/// variance 2 / fan_in. Vectors are zero, but scales of norms ("....weight") and running variances
/// are one. Every tensor has its own random stream, keyed by seed and name.
StateDict kaiming_weights(const std::vector<TensorInfo>& tensors, uint64_t seed);

/// Weights of two or more dimensions are normal with the given standard deviation. Names that end
/// in ".bias" are zero, other vectors (scales of norms) are `vector`. Streams as above.
StateDict normal_weights(const std::vector<TensorInfo>& tensors, double deviation, double vector,
                         uint64_t seed);

/// DataError "NAME takes inputs of shape SHAPE, found ..." unless `inputs` is [n, item...].
void check_inputs(std::string_view architecture, const at::Tensor& inputs, at::IntArrayRef item);

namespace detail {

/// An architecture struct T has: `static constexpr std::string_view name, summary, paper`, fields
/// with `void parameters(auto&& p)` (as methods do), tensors(), initial_weights(), item_shape() and
/// logits(). Where the fields say how wide layers are, void set_widths(shapes of the tensors, by
/// name) sets them. It may have checkpoint_names(), blocks(), and `static constexpr
/// std::string_view example`, the config.json of a small model.
template <typename T>
class ArchitectureAdaptor final : public Architecture {
 public:
  explicit ArchitectureAdaptor(const JsonReader& fields) { assign_parameters(network_, fields); }
  Json config() const override {
    Json json = parameters_to_json(network_);
    json["model_type"] = T::name;
    return json;
  }
  std::vector<TensorInfo> tensors() const override { return network_.tensors(); }
  StateDict initial_weights(uint64_t seed) const override { return network_.initial_weights(seed); }
  at::Tensor logits(const StateDict& weights, const at::Tensor& inputs) const override {
    return network_.logits(weights, inputs);
  }
  std::vector<int64_t> item_shape() const override { return network_.item_shape(); }
  std::optional<Json> config_of_shapes(
      const std::map<std::string, std::vector<int64_t>>& shapes) const override {
    if constexpr (requires(T t) { t.set_widths(shapes); }) {
      ArchitectureAdaptor widened(*this);
      widened.network_.set_widths(shapes);
      for (const TensorInfo& info : widened.tensors())
        if (const auto wanted = shapes.find(info.name);
            wanted == shapes.end() || wanted->second != info.shape)
          return std::nullopt;
      return widened.config();
    }
    return std::nullopt;
  }
  CheckpointNames checkpoint_names() const override {
    if constexpr (requires(const T t) { t.checkpoint_names(); })
      return network_.checkpoint_names();
    else
      return {};
  }
  std::vector<std::vector<std::string>> blocks() const override {
    if constexpr (requires(const T t) { t.blocks(); })
      return network_.blocks();
    else
      return {};
  }

 private:
  T network_;
};

template <typename T>
constexpr std::string_view example_config() {
  if constexpr (requires { T::example; })
    return T::example;
  else
    return "{}";
}

template <typename T>
void register_architecture() {
  architectures().add(
      std::string(T::name),
      {std::string(T::summary), std::string(T::paper), describe_parameters<T>(),
       [](const JsonReader& fields) { return std::make_unique<ArchitectureAdaptor<T>>(fields); },
       std::string(example_config<T>())});
}

}  // namespace detail
}  // namespace assay

#define ASSAY_ARCHITECTURE(Type) \
  ASSAY_REGISTER([] { ::assay::detail::register_architecture<Type>(); })
