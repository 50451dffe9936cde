#include "harness/model/internal/config_fields.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/log.h"

namespace assay {

std::optional<JsonReader> ConfigFields::find(const std::string& key) {
  asked_.push_back(key);
  auto found = json_.find(key);
  if (found && found->json().is_null()) return std::nullopt;
  return found;
}

std::optional<int64_t> ConfigFields::optional_size(const std::string& key,
                                                   std::optional<int64_t> missing) {
  const auto found = find(key);
  if (!found) return json_.json().contains(key) ? std::nullopt : missing;
  const int64_t value = found->as_integer();
  if (value < 1 || value > int64_t{1} << 40) found->fail("expected a whole number of 1 or more");
  return value;
}

int64_t ConfigFields::layers(const std::string& key, int64_t fallback) {
  constexpr int64_t kMaxLayers = 1 << 16;  // the deepest models have a few hundred
  const auto found = find(key);
  if (found && (found->as_integer() < 1 || found->as_integer() > kMaxLayers))
    found->fail(fmt::format("expected 1 to {} layers", kMaxLayers));
  return found ? found->as_integer() : fallback;
}

int64_t ConfigFields::layers(const std::string& key) {
  if (!find(key)) user_error("{}: the key '{}' is missing", json_.where(), key);
  return layers(key, 0);
}

int64_t ConfigFields::size(const std::string& key) {
  if (const auto value = optional_size(key)) return *value;
  user_error("{}: the key '{}' is missing", json_.where(), key);
}

int64_t ConfigFields::size(const std::string& key, int64_t fallback) {
  return optional_size(key).value_or(fallback);
}

std::optional<double> ConfigFields::optional_number(const std::string& key,
                                                    std::optional<double> missing) {
  const auto found = find(key);
  if (!found) return json_.json().contains(key) ? std::nullopt : missing;
  return found->as_number();
}

int64_t ConfigFields::count(const std::string& key, int64_t fallback) {
  const auto found = find(key);
  if (found && found->as_integer() < 0) found->fail("expected a whole number of 0 or more");
  return found ? found->as_integer() : fallback;
}

double ConfigFields::number(const std::string& key, double fallback) {
  return optional_number(key).value_or(fallback);
}

double ConfigFields::positive(const std::string& key) {
  const auto found = find(key);
  if (!found) user_error("{}: the key '{}' is missing", json_.where(), key);
  const double value = found->as_number();
  if (!(value > 0)) found->fail("expected a number above 0");
  return value;
}

double ConfigFields::positive(const std::string& key, double fallback) {
  return find(key) ? positive(key) : fallback;
}

int64_t ConfigFields::per_head(const std::string& width_key, int64_t width,
                               const std::string& heads_key, int64_t heads) const {
  if (width % heads != 0)
    user_error("{}: {} {} is no multiple of {} {}", where(), width_key, width, heads_key, heads);
  return width / heads;
}

bool ConfigFields::flag(const std::string& key, bool fallback) {
  const auto found = find(key);
  return found ? found->as_bool() : fallback;
}

std::string ConfigFields::text(const std::string& key, const std::string& fallback) {
  const auto found = find(key);
  return found ? found->as_string() : fallback;
}

bool ConfigFields::is_for(std::string_view model) {
  bool found = false;
  if (const auto names = find("architectures"))
    for (const std::string& name : names->as_strings()) found |= name.ends_with(model);
  return found;
}

int64_t ConfigFields::classes(std::string_view model) {
  const bool classifies = is_for(model);
  const int64_t count = size("num_labels", 2);
  const auto labels = find("id2label");
  if (!classifies) return 0;
  return labels ? static_cast<int64_t>(labels->entries().size()) : count;
}

void ConfigFields::only(const std::string& key, const Json& allowed) {
  const auto found = find(key);
  if (found && found->json() != allowed)
    found->fail(fmt::format("not supported: only {} is", allowed.dump()));
}

void ConfigFields::ignore(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) asked_.emplace_back(key);
}

bool ConfigFields::asked(std::string_view key) const {
  return std::find(asked_.begin(), asked_.end(), key) != asked_.end();
}

void ConfigFields::refuse_unsupported() {
  // Neutral values: they do not change a model. A family that supports the field has requested it.
  static const std::pair<const char*, Json> neutral[] = {
      {"add_cross_attention", false},
      {"alibi", false},
      {"attention_bias", false},
      {"attention_chunk_size", nullptr},
      {"attention_multiplier", nullptr},
      {"attn_logit_softcapping", nullptr},
      {"clip_qkv", nullptr},
      {"compression_config", nullptr},
      {"embedding_multiplier", 1},
      {"final_logit_softcapping", nullptr},
      {"is_encoder_decoder", false},
      {"logit_scale", nullptr},
      {"logits_scaling", 1},
      {"mlp_bias", false},
      {"multi_query", false},
      {"n_routed_experts", 0},
      {"no_rope_layers", nullptr},
      {"num_experts", 0},
      {"num_local_experts", 0},
      {"pretraining_tp", 1},
      {"pruned_heads", Json::object()},
      {"qk_layernorm", false},
      {"qk_norm", false},
      {"quantization", nullptr},
      {"quantization_config", nullptr},
      {"residual_multiplier", 1},
      {"rope_interleaved", false},
      {"scale_attn_by_inverse_layer_idx", false},
      {"scale_attn_weights", true},
      {"tie_encoder_decoder", false},
      {"use_alibi", false},
      {"use_bidirectional_attention", false},
      {"use_mrope", false},
      {"use_parallel_residual", false},
      {"use_qk_norm", false},
  };
  for (const auto& [key, value] : neutral)
    if (!asked(key)) only(key, value);
  if (asked("layer_types")) return;
  if (const auto types = find("layer_types"))
    for (const JsonReader& type : types->elements())
      if (type.json() != "full_attention") type.fail("not supported: only full_attention is");
}

void ConfigFields::finish() {
  refuse_unsupported();
  ignore({"_attn_implementation",
          "_attn_implementation_autoset",
          "_model_name_or_path",
          "_name_or_path",
          "architectures",
          "attention_dropout",
          "attn_implementation",
          "attn_pdrop",
          "auto_map",
          "bad_words_ids",
          "begin_suppress_tokens",
          "bos_token_id",
          "cache_implementation",
          "chunk_size_feed_forward",
          "classifier_dropout",
          "cross_attention_hidden_size",
          "custom_pipelines",
          "decoder_start_token_id",
          "diversity_penalty",
          "do_sample",
          "dtype",
          "early_stopping",
          "embd_pdrop",
          "encoder_no_repeat_ngram_size",
          "eos_token_id",
          "exponential_decay_length_penalty",
          "finetuning_task",
          "forced_bos_token_id",
          "forced_eos_token_id",
          "gradient_checkpointing",
          "head_dropout",
          "hidden_dropout",
          "id2label",
          "initializer_range",
          "is_decoder",
          "is_llama_config",
          "keys_to_ignore_at_inference",
          "label2id",
          "length_penalty",
          "max_length",
          "min_length",
          "model_type",
          "no_repeat_ngram_size",
          "num_beam_groups",
          "num_beams",
          "num_labels",
          "num_return_sequences",
          "n_positions",
          "output_attentions",
          "output_hidden_states",
          "output_past",
          "output_scores",
          "pad_token_id",
          "prefix",
          "problem_type",
          "remove_invalid_values",
          "repetition_penalty",
          "resid_pdrop",
          "return_dict",
          "return_dict_in_generate",
          "sep_token_id",
          "suppress_tokens",
          "task_specific_params",
          "temperature",
          "tf_legacy_loss",
          "tokenizer_class",
          "top_k",
          "top_p",
          "torch_dtype",
          "torchscript",
          "transformers.js_config",
          "transformers_version",
          "typical_p",
          "unk_token_id",
          "unsloth_fixed",
          "unsloth_version",
          "use_bfloat16",
          "use_cache"});
  warn_of_rest();
}

void ConfigFields::warn_of_rest() const {
  const std::set<std::string> known(asked_.begin(), asked_.end());
  std::vector<std::string> unknown;
  for (const auto& [key, unused] : json_.entries())
    if (!known.contains(key)) unknown.push_back(key);
  if (unknown.empty()) return;
  log_warning_once(fmt::format("{}: fields that Assay does not know are not used: {}",
                               json_.where(), fmt::join(unknown, ", ")));
}

}  // namespace assay
