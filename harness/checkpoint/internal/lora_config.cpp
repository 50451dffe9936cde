#include "harness/checkpoint/internal/lora_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/core/error.h"

namespace assay {
namespace {

// Fields that do not affect the meaning of the stored tensors. All others must be empty.
constexpr std::array kInert{"auto_mapping",        "base_model_name_or_path",
                            "corda_config",        "ensure_weight_tying",
                            "eva_config",          "exclude_modules",
                            "inference_mode",      "layers_pattern",
                            "layers_to_transform", "loftq_config",
                            "lora_dropout",        "lora_ga_config",
                            "megatron_config",     "megatron_core",
                            "modules_to_save",     "peft_version",
                            "qalora_group_size",   "revision",
                            "runtime_config",      "task_type"};

constexpr std::array kRead{
    "peft_type",      "r",    "lora_alpha",     "rank_pattern",     "alpha_pattern", "use_rslora",
    "fan_in_fan_out", "bias", "target_modules", "init_lora_weights"};

// Initialisations that do not modify the base's weights.
constexpr std::array kInitialisations{"eva", "gaussian", "orthogonal"};

template <typename Names>
bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_empty(const Json& value) {
  return value.is_null() || value == false || value.empty() || value == Json("");
}

void reject_variants(const JsonReader& config) {
  for (const auto& [key, value] : config.entries())
    if (!contains(kInert, key) && !contains(kRead, key) && !is_empty(value.json()))
      value.fail(fmt::format("adapters with '{}' are not supported: only plain LoRA is", key));
}

}  // namespace

LoraConfig::LoraConfig(const Json& json, const std::string& where) : where_(where) {
  JsonReader config(json, where);
  const auto take = [&](const std::string& key) {
    auto found = config.find(key);
    return found && !found->json().is_null() ? std::move(found) : std::nullopt;
  };
  const auto type = take("peft_type");
  if (!type) user_error("{}: the key 'peft_type' is missing; allowed: LORA", where);
  if (type->as_string() != "LORA")
    user_error("{}: adapters of peft_type {} are not supported; only LORA is", where,
               type->as_string());
  reject_variants(config);
  if (const auto rank = take("r")) {
    rank_ = rank->as_integer();
    if (rank_ < 1) rank->fail("expected a rank of 1 or more");
  }
  if (const auto alpha = take("lora_alpha")) alpha_ = alpha->as_number();
  ranks_ = read_overrides(config, "rank_pattern");
  alphas_ = read_overrides(config, "alpha_pattern");
  if (const auto flag = take("use_rslora")) root_scaling_ = flag->as_bool();
  if (const auto flag = take("fan_in_fan_out")) transposed_ = flag->as_bool();
  if (const auto bias = take("bias"); bias && bias->as_string() != "none")
    bias->fail("adapters with 'bias' are not supported; allowed: \"none\"");
  if (const auto start = take("init_lora_weights"); start && !start->json().is_boolean())
    if (!contains(kInitialisations, start->as_string()))
      start->fail(
          "this 'init_lora_weights' changes the base's weights; save the adapter converted to "
          "plain LoRA (PEFT's path_initial_model_for_weight_conversion)");
  if (const auto targets = take("target_modules")) {
    if (targets->is_array())
      target_names_ = targets->as_strings();
    else if (targets->as_string() != "all-linear")
      target_pattern_.emplace(targets->as_string(), targets->where());
  }
}

std::vector<LoraConfig::Override> LoraConfig::read_overrides(JsonReader& config,
                                                             const std::string& key) const {
  std::vector<Override> overrides;
  const auto found = config.find(key);
  if (!found || found->json().is_null()) return overrides;
  for (const auto& [pattern, value] : found->entries()) {
    if (value.as_number() <= 0) value.fail("expected a number above zero");
    overrides.push_back(
        {LayerPattern("(.*\\.)?(" + pattern + ")", value.where()), value.as_number()});
  }
  return overrides;
}

double LoraConfig::override_value(const std::vector<Override>& overrides, const std::string& layer,
                                  double default_value) const {
  const Override* first = nullptr;
  for (const Override& each : overrides) {
    if (!each.pattern.matches(layer)) continue;
    // PEFT uses the first in the file's order, which JSON objects do not keep.
    if (first && first->value != each.value)
      user_error("{}: two patterns of different values match the layer '{}'", where_, layer);
    first = &each;
  }
  return first ? first->value : default_value;
}

int64_t LoraConfig::rank(const std::string& layer) const {
  return static_cast<int64_t>(override_value(ranks_, layer, static_cast<double>(rank_)));
}

double LoraConfig::scale(const std::string& layer) const {
  const auto r = static_cast<double>(rank(layer));
  return override_value(alphas_, layer, alpha_) / (root_scaling_ ? std::sqrt(r) : r);
}

bool LoraConfig::targets(const std::string& layer) const {
  if (target_pattern_) return target_pattern_->matches(layer);
  return target_names_.empty() ||
         std::any_of(target_names_.begin(), target_names_.end(), [&](const std::string& name) {
           return layer == name || layer.ends_with("." + name);
         });
}

}  // namespace assay
