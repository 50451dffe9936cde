#include "harness/model/adapter.h"

#include <ATen/ATen.h>

#include <cmath>
#include <regex>

#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/model/config_fields.h"

namespace assay {
namespace {

struct LoraConfig {
  double rank = 0, alpha = 0;
  std::vector<std::pair<std::regex, double>> ranks, alphas;  ///< of layers whose names end so
  bool root_scaling = false, transposed = false;

  double scale(const std::string& layer) const {
    const double r = special(ranks, layer, rank);
    return special(alphas, layer, alpha) / (root_scaling ? std::sqrt(r) : r);
  }

 private:
  static double special(const std::vector<std::pair<std::regex, double>>& patterns,
                        const std::string& layer, double usual) {
    for (const auto& [pattern, value] : patterns)
      if (std::regex_match(layer, pattern)) return value;
    return usual;
  }
};

std::vector<std::pair<std::regex, double>> read_patterns(ConfigFields& config,
                                                         const std::string& key) {
  std::vector<std::pair<std::regex, double>> patterns;
  if (const auto found = config.find(key))
    for (const auto& [pattern, value] : found->entries()) try {
        patterns.emplace_back(std::regex("(.*\\.)?(" + pattern + ")"), value.as_number());
      } catch (const std::regex_error&) {
        value.fail(fmt::format("'{}' is no regular expression", pattern));
      }
  return patterns;
}

LoraConfig read_lora(const Json& json, const std::string& where) {
  ConfigFields config(JsonReader(json, where));
  config.only("peft_type", "LORA");
  config.only("bias", "none");
  config.only("use_dora", false);
  config.only("lora_bias", false);
  config.only("layer_replication", nullptr);
  config.only("use_qalora", false);
  config.only("use_bdlora", nullptr);
  config.only("alora_invocation_tokens", nullptr);
  config.only("target_parameters", nullptr);
  config.only("trainable_token_indices", nullptr);
  LoraConfig lora;
  lora.rank = static_cast<double>(config.size("r"));
  lora.alpha = config.positive("lora_alpha");
  lora.ranks = read_patterns(config, "rank_pattern");
  lora.alphas = read_patterns(config, "alpha_pattern");
  lora.root_scaling = config.flag("use_rslora", false);
  lora.transposed = config.flag("fan_in_fan_out", false);
  return lora;
}

/// B A as an update of a weight of the given shape.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, at::IntArrayRef shape, bool transposed,
                   const std::string& what) {
  if (a.dim() != 2 || b.dim() != 2 || a.size(0) != b.size(1))
    data_error("{}: A {} and B {} do not multiply", what, shape_text(a.sizes()),
               shape_text(b.sizes()));
  const at::Tensor update = at::mm(b.to(at::kFloat), a.to(at::kFloat));
  const bool straight = update.sizes() == shape, turned = update.t().sizes() == shape;
  if (!straight && !turned)
    data_error("{}: the update has shape {}, the model's weight {}", what,
               shape_text(update.sizes()), shape_text(shape));
  return turned && (transposed || !straight) ? update.t() : update;
}

std::filesystem::path config_file(const std::filesystem::path& folder) {
  return folder / "adapter_config.json";
}

std::shared_ptr<const Checkpoint> open_tensors(const std::filesystem::path& folder) {
  return Checkpoint::open(folder / "adapter_model.safetensors");
}

}  // namespace

std::string adapter_hash(const std::filesystem::path& folder) {
  return Hasher()
      .text(canonical(read_json(config_file(folder))))
      .text(open_tensors(folder)->content_hash())
      .hex();
}

std::string adapted_hash(const std::string& weights_hash, const std::string& adapter_hash) {
  return Hasher().text("adapted").text(weights_hash).text(adapter_hash).hex();
}

void apply_adapter(StateDict& weights, const Architecture& architecture,
                   const std::filesystem::path& folder) {
  const auto file = config_file(folder);
  const LoraConfig lora = read_lora(read_json(file), file.string());
  const auto tensors = open_tensors(folder);
  const CheckpointNames names = architecture.checkpoint_names();
  const auto weight_of = [&](const std::string& name, const std::string& stored) -> at::Tensor& {
    const auto it = weights.find(canonical_name(names, name));
    if (it == weights.end())
      data_error("{}: '{}' belongs to no tensor of the model", tensors->label(), stored);
    for (const auto& [tied, original] : names.tied)
      if (original == it->first)
        user_error("{}: '{}' would change '{}', which is tied to it, too: not supported",
                   tensors->label(), stored, tied);
    return it->second;
  };
  struct Form {
    std::string a, b;
    bool transposed;
  };
  const Form forms[] = {{".lora_A.weight", ".lora_B.weight", lora.transposed},
                        {".lora_embedding_A", ".lora_embedding_B", true}};
  for (const TensorInfo& info : tensors->tensors()) {
    std::string name = info.name;
    for (const char* start : {"base_model.model.", "base_model."})
      if (name.starts_with(start)) {
        name = name.substr(std::string_view(start).size());
        break;
      }
    const Form* form = nullptr;
    bool second = false;  // B comes with its A
    for (const Form& candidate : forms) {
      if (name.ends_with(candidate.a)) form = &candidate;
      second |= name.ends_with(candidate.b);
    }
    if (second) continue;
    if (!form) {  // a whole tensor
      at::Tensor& weight = weight_of(name, info.name);
      if (weight.sizes() != at::IntArrayRef(info.shape))
        data_error("{}: '{}' has shape {}, the model's {}", tensors->label(), info.name,
                   shape_text(info.shape), shape_text(weight.sizes()));
      weight = tensors->read(info.name).to(weight.device(), weight.scalar_type());
      continue;
    }
    const std::string layer = name.substr(0, name.size() - form->a.size());
    at::Tensor& weight = weight_of(layer + ".weight", info.name);
    const std::string other = info.name.substr(0, info.name.size() - form->a.size()) + form->b;
    const at::Tensor update =
        product(tensors->read(info.name), tensors->read(other), weight.sizes(), form->transposed,
                fmt::format("{}: {}", tensors->label(), layer));
    weight = (weight.to(at::kFloat) + lora.scale(layer) * update.to(weight.device()))
                 .to(weight.scalar_type());
  }
}

}  // namespace assay
