#include "harness/tokenizer/hf_json/tokenizer_settings.h"

#include <algorithm>
#include <charconv>

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/stage.h"

namespace assay {
namespace {

constexpr double kUnbounded = 1e9;  // transformers writes 1e30 for "no limit"

/// Hashed by name and content where a hasher is given.
std::optional<Json> read_optional(const ModelTexts& files, const std::string& name,
                                  Hasher* hasher) {
  const auto text = files.find(name);
  if (!text) return std::nullopt;
  if (hasher) hasher->text(name).text(*text);
  return parse_json(*text, files.where(name));
}

/// A token as a string, or as an object with "content".
AddedToken read_special(JsonReader json) {
  AddedToken token{.id = -1, .content = {}, .special = true, .normalized = false};
  if (!json.is_object()) {
    token.content = json.as_string();
    return token;
  }
  token.content = json.string("content");
  token.single_word = json.boolean("single_word", false);
  token.left_strip = json.boolean("lstrip", false);
  token.right_strip = json.boolean("rstrip", false);
  token.normalized = json.boolean("normalized", false);
  return token;
}

constexpr const char* kNamed[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

/// Overwrites earlier values.
void read_special_tokens(JsonReader json, TokenizerSettings& settings) {
  for (const char* key : kNamed)
    if (const auto field = json.find(key))
      settings.named[key] =
          field->json().is_null() ? std::nullopt : std::optional(read_special(*field));
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const auto field = present(json, key);
    if (!field) continue;
    if (field->is_object())
      for (const auto& [name, token] : field->entries())
        settings.more_special.push_back(read_special(token));
    else
      for (const JsonReader& token : field->elements())
        settings.more_special.push_back(read_special(token));
  }
  // Tokens of other kinds ("image_token") are special too.
  for (const auto& [key, token] : json.entries())
    if (key.ends_with("_token") && token.is_string() &&
        std::find(std::begin(kNamed), std::end(kNamed), key) == std::end(kNamed))
      settings.more_special.push_back(read_special(token));
}

void read_flag(JsonReader& json, const std::string& key, std::optional<bool>& flag) {
  if (const auto field = present(json, key)) flag = field->as_bool();
}

/// "added_tokens_decoder": maps ids (as text) to tokens.
void read_added(const JsonReader& json, TokenizerSettings& settings) {
  for (const auto& [id, token] : json.entries()) {
    Json with_id = token.json();
    int64_t number = -1;
    const auto read = std::from_chars(id.data(), id.data() + id.size(), number);
    if (read.ec != std::errc() || read.ptr != id.data() + id.size() || !with_id.is_object())
      token.fail("expected a token under its id");
    with_id["id"] = number;
    settings.added.push_back(AddedToken::read(JsonReader(with_id, token.where())));
  }
  std::sort(settings.added.begin(), settings.added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
}

void read_config(JsonReader json, TokenizerSettings& settings) {
  read_special_tokens(json, settings);
  read_flag(json, "add_bos_token", settings.add_bos);
  read_flag(json, "add_eos_token", settings.add_eos);
  read_flag(json, "add_prefix_space", settings.add_prefix_space);
  read_flag(json, "legacy", settings.legacy);
  read_flag(json, "do_lower_case", settings.lower_case);
  read_flag(json, "strip_accents", settings.strip_accents);
  read_flag(json, "tokenize_chinese_chars", settings.chinese_chars);
  if (const auto name = present(json, "tokenizer_class"))
    settings.tokenizer_class = name->as_string();
  if (const auto longest = present(json, "model_max_length")) {
    const double tokens = longest->as_number();
    if (tokens < 1) longest->fail("expected a number of tokens");
    if (tokens < kUnbounded) settings.max_length = static_cast<int64_t>(tokens);
  }
  if (const auto added = present(json, "added_tokens_decoder")) {
    read_added(*added, settings);
    settings.added_overwrite = true;
  }
}

/// "eos_token_id": one id or a list.
void read_end_ids(JsonReader json, TokenIds& ids) {
  const auto field = present(json, "eos_token_id");
  if (!field) return;
  const auto add = [&](const JsonReader& id) {
    const TokenId value = read_token_id(id);
    if (std::find(ids.begin(), ids.end(), value) == ids.end()) ids.push_back(value);
  };
  if (field->is_array())
    for (const JsonReader& id : field->elements()) add(id);
  else
    add(*field);
}

/// Tokenizer settings in config.json and generation_config.json.
void read_model_files(const ModelTexts& files, TokenizerSettings& settings) {
  if (const auto json = read_optional(files, "generation_config.json", nullptr))
    read_end_ids(JsonReader(*json, files.where("generation_config.json") + ": $"),
                 settings.end_ids);
  const auto json = read_optional(files, "config.json", nullptr);
  if (!json) return;
  JsonReader reader(*json, files.where("config.json") + ": $");
  read_end_ids(reader, settings.end_ids);
  const auto text = [&](const char* key) {
    const auto field = present(reader, key);
    return field && field->is_string() ? field->as_string() : std::string();
  };
  settings.model_type = text("model_type");
  if (settings.tokenizer_class.empty()) settings.tokenizer_class = text("tokenizer_class");
  if (const auto size = present(reader, "vocab_size"); size && size->json().is_number_integer())
    settings.vocabulary = size->as_integer();
}

}  // namespace

TokenizerSettings TokenizerSettings::read(const ModelTexts& files, Hasher& hasher) {
  TokenizerSettings settings;
  constexpr const char *kConfig = "tokenizer_config.json", *kMap = "special_tokens_map.json",
                       *kAdded = "added_tokens.json";
  const auto main = read_optional(files, kConfig, &hasher);
  if (main) read_config(JsonReader(*main, files.where(kConfig) + ": $"), settings);
  const auto special = read_optional(files, kMap, &hasher),
             later = read_optional(files, kAdded, &hasher);
  settings.any_file = main || special || later;
  // Older files, superseded by added_tokens_decoder.
  if (special && !settings.added_overwrite)
    read_special_tokens(JsonReader(*special, files.where(kMap) + ": $"), settings);
  if (later && !settings.added_overwrite)
    for (const auto& [content, id] : JsonReader(*later, files.where(kAdded) + ": $").entries())
      settings.added.push_back({.id = read_token_id(id), .content = content, .normalized = false});
  read_model_files(files, settings);
  return settings;
}

std::optional<std::string> TokenizerSettings::special(const std::string& key,
                                                      std::string_view of_class) const {
  if (const auto found = named.find(key); found != named.end())
    return found->second ? std::optional(found->second->content) : std::nullopt;
  return of_class.empty() ? std::nullopt : std::optional(std::string(of_class));
}

std::vector<AddedToken> TokenizerSettings::special_tokens(const TokenizerClass& hf_class) const {
  std::vector<AddedToken> all;
  for (const auto& [key, token] : named)
    if (token) all.push_back(*token);
  for (const auto& [key, content] :
       {std::pair("bos_token", hf_class.bos), std::pair("eos_token", hf_class.eos),
        std::pair("pad_token", hf_class.pad), std::pair("unk_token", hf_class.unknown)})
    if (!content.empty() && !named.contains(key))
      all.push_back(
          {.id = -1, .content = std::string(content), .special = true, .normalized = false});
  all.insert(all.end(), more_special.begin(), more_special.end());
  return all;
}

void ConfiguredTokenizer::configure(const TokenizerSettings& settings,
                                    const TokenizerClass& hf_class, Hasher& hasher) {
  const auto look_up = [&](const char* key, std::string_view of_class,
                           std::optional<TokenId>& found) {
    const auto token = settings.special(key, of_class);
    if (const auto known = token ? id(*token) : std::nullopt) found = known;
  };
  look_up("bos_token", hf_class.bos, bos_);
  look_up("eos_token", hf_class.eos, eos_);
  look_up("pad_token", hf_class.pad, pad_);
  look_up("unk_token", hf_class.unknown, unknown_);
  max_length_ = settings.max_length;
  if (eos_) end_ids_.push_back(*eos_);
  // Settings that earlier versions ignored are hashed only where they are set, so that the keys of
  // all other models do not change.
  if (settings.any_file || !hf_class.name.empty()) hasher.text("conventions").text(hf_class.name);
  for (const TokenId end : settings.end_ids)
    if (end != eos_) end_ids_.push_back(end);
  hash_ = hasher.hex();
}

size_t ConfiguredTokenizer::ends_after_text() const {
  size_t count = 0;
  for (auto part = single_.parts.rbegin(); part != single_.parts.rend(); ++part, ++count)
    if (part->source != InputTemplate::Source::kToken ||
        std::find(end_ids_.begin(), end_ids_.end(), part->id) == end_ids_.end())
      break;
  return count;
}

const InputTemplate& ConfiguredTokenizer::input_template(bool pair) const {
  if (pair && !pair_) data_error("the model's tokenizer.json does not define pairs of texts");
  return pair ? *pair_ : single_;
}

void ConfiguredTokenizer::add_bos_eos_template(bool bos, bool eos) {
  single_ = {};
  pair_.emplace();
  for (const bool second : {false, true}) {
    const int32_t type = second ? 1 : 0;
    using Source = InputTemplate::Source;
    std::vector<InputTemplate::Part> parts;
    if (bos && bos_) parts.push_back({Source::kToken, type, *bos_});
    parts.push_back({second ? Source::kSecond : Source::kFirst, type});
    if (eos && eos_) parts.push_back({Source::kToken, type, *eos_});
    pair_->parts.insert(pair_->parts.end(), parts.begin(), parts.end());
    if (!second) single_.parts = std::move(parts);
  }
}

}  // namespace assay
