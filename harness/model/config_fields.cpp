#include "harness/model/config_fields.h"

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

void ConfigFields::only(const std::string& key, const Json& allowed) {
  const auto found = find(key);
  if (found && found->json() != allowed)
    found->fail(fmt::format("not supported: only {} is", allowed.dump()));
}

void ConfigFields::ignore(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) asked_.emplace_back(key);
}

void ConfigFields::finish() {
  if (std::find(asked_.begin(), asked_.end(), "is_encoder_decoder") == asked_.end())
    only("is_encoder_decoder", false);
  only("add_cross_attention", false);
  only("quantization_config", nullptr);
  only("pretraining_tp", 1);
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
          "output_attentions",
          "output_hidden_states",
          "output_scores",
          "pad_token_id",
          "prefix",
          "problem_type",
          "pruned_heads",
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
  const std::set<std::string> known(asked_.begin(), asked_.end());
  std::vector<std::string> unknown;
  for (const auto& [key, unused] : json_.entries())
    if (!known.contains(key)) unknown.push_back(key);
  if (!unknown.empty())
    log_warning("{}: fields that Assay does not know are not used: {}", json_.where(),
                fmt::join(unknown, ", "));
}

}  // namespace assay
