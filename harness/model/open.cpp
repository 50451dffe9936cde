#include "harness/model/open.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/model/encoder.h"
#include "harness/model/placement.h"
#include "harness/model/sequence_to_sequence.h"

namespace assay {
namespace {

/// The stored dtype of the largest tensor.
at::ScalarType stored_dtype(const TensorSource& weights) {
  const auto& all = weights.tensors();
  if (all.empty()) data_error("{} holds no tensors", weights.label());
  return std::max_element(
             all.begin(), all.end(),
             [](const TensorInfo& a, const TensorInfo& b) { return a.numel() < b.numel(); })
      ->dtype;
}

/// Every layer has at least one tensor of its own. The check precedes the construction of the
/// architecture, which takes time and memory for each layer.
void check_layers(const Checkpoint& checkpoint, const std::string& where) {
  const Json& config = checkpoint.config();
  const auto tensors = static_cast<int64_t>(checkpoint.tensors().size());
  for (const char* key : {"num_hidden_layers", "n_layer", "num_layers", "num_decoder_layers"}) {
    const auto layers = config.is_object() ? config.find(key) : config.end();
    if (layers != config.end() && layers->is_number_integer() && layers->get<int64_t>() > tensors)
      data_error("{}: {} is {}, but {} holds {} tensors: the layers are not in the file", where,
                 key, layers->get<int64_t>(), checkpoint.label(), tensors);
  }
}

bool reads_text(const Architecture& architecture) {
  return dynamic_cast<const LanguageArchitecture*>(&architecture) ||
         dynamic_cast<const SequenceToSequenceArchitecture*>(&architecture) ||
         dynamic_cast<const RoutedArchitecture*>(&architecture) ||
         dynamic_cast<const EncoderArchitecture*>(&architecture);
}

}  // namespace

std::shared_ptr<const Architecture> architecture_of(const Checkpoint& checkpoint) {
  if (checkpoint.config().is_null()) data_error("{}: there is no config.json", checkpoint.label());
  const std::string where = (checkpoint.path() / "config.json").string();
  check_layers(checkpoint, where);
  return make_architecture(JsonReader(checkpoint.config(), where));
}

Computation open_computation(const Checkpoint& checkpoint) {
  Computation computation{architecture_of(checkpoint), nullptr};
  if (reads_text(*computation.architecture))
    computation.tokenizer = Tokenizer::open(checkpoint.path());
  return computation;
}

std::string computation_hash(const Architecture& architecture, const Tokenizer* tokenizer) {
  const Json config = architecture.config();
  Hasher hasher;
  hasher.text(canonical(config));
  if (tokenizer) {
    hasher.text(tokenizer->hash());
    // Earlier versions ended at the tokenizer's own EOS alone.
    for (const TokenId end : tokenizer->end_ids())
      if (end != tokenizer->eos()) hasher.text("end").number(static_cast<uint64_t>(end));
  }
  return with_plugin(hasher.hex(), architectures().plugin_of(config.value("model_type", "")));
}

at::ScalarType compute_dtype(std::optional<at::ScalarType> requested, at::Device device,
                             const TensorSource& weights) {
  const at::ScalarType dtype =
      requested ? *requested : (device.is_cpu() ? at::kFloat : stored_dtype(weights));
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kHalf)
    user_error("language models run in float32, bfloat16 or float16, not in {}", dtype_name(dtype));
  return dtype;
}

OpenModel open_model(const ModelPath& path, const OpenOptions& options) {
  const auto checkpoint = Checkpoint::open(path);
  std::shared_ptr<const Architecture> architecture = architecture_of(*checkpoint);
  StateDict weights =
      load_placed(*architecture, *checkpoint, options.devices,
                  compute_dtype(options.dtype, options.devices.front(), *checkpoint));
  return {std::move(architecture), std::move(weights), checkpoint->content_hash()};
}

LanguageModel open_language_model(const ModelPath& path, const OpenOptions& options) {
  OpenModel model = open_model(path, options);
  auto architecture = std::dynamic_pointer_cast<const LanguageArchitecture>(model.architecture);
  if (!architecture)
    user_error("{}: {} is no decoder-only language model", path.path.string(),
               model.architecture->config().at("model_type").get<std::string>());
  return {std::move(architecture), std::move(model.weights), options.devices.front(),
          Tokenizer::open(path.path), std::move(model.weights_hash)};
}

}  // namespace assay
