#include "harness/tokenizer/tokenizer_settings.h"

#include <algorithm>
#include <charconv>

#include "harness/core/error.h"
#include "harness/core/regular_file.h"
#include "harness/tokenizer/stage.h"

namespace assay {
namespace {

constexpr double kUnbounded = 1e9;  // transformers writes 1e30 for "no limit"

std::optional<Json> read_optional(const fs::path& path, Hasher& hasher) {
  if (!is_there(path)) return std::nullopt;
  const std::string text = read_file(path);
  hasher.text(path.filename().string()).text(text);
  return parse_json(text, path.string());
}

/// A token as a string, or as an object with "content".
void read_token(JsonReader& json, const std::string& key, std::optional<std::string>& token) {
  auto field = present(json, key);
  if (!field || token) return;
  token = field->is_object() ? field->string("content") : field->as_string();
}

void read_special_tokens(JsonReader json, TokenizerSettings& settings) {
  read_token(json, "bos_token", settings.bos);
  read_token(json, "eos_token", settings.eos);
  read_token(json, "pad_token", settings.pad);
  read_token(json, "unk_token", settings.unknown);
}

void read_flag(JsonReader& json, const std::string& key, std::optional<bool>& flag) {
  if (const auto field = present(json, key)) flag = field->as_bool();
}

/// "added_tokens_decoder": ids as text to tokens.
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
  if (const auto longest = present(json, "model_max_length")) {
    const double tokens = longest->as_number();
    if (tokens < 1) longest->fail("expected a number of tokens");
    if (tokens < kUnbounded) settings.max_length = static_cast<int64_t>(tokens);
  }
  if (const auto added = present(json, "added_tokens_decoder")) read_added(*added, settings);
}

}  // namespace

TokenizerSettings TokenizerSettings::read(const fs::path& folder, Hasher& hasher) {
  TokenizerSettings settings;
  const fs::path config = folder / "tokenizer_config.json";
  if (const auto json = read_optional(config, hasher))
    read_config(JsonReader(*json, config.string() + ": $"), settings);
  const fs::path map = folder / "special_tokens_map.json";
  if (const auto json = read_optional(map, hasher))
    read_special_tokens(JsonReader(*json, map.string() + ": $"), settings);
  const fs::path added = folder / "added_tokens.json";
  if (const auto json = read_optional(added, hasher))
    for (const auto& [content, id] : JsonReader(*json, added.string() + ": $").entries())
      settings.added.push_back(
          {.id = static_cast<TokenId>(id.as_integer()), .content = content, .normalized = false});
  return settings;
}

void ConfiguredTokenizer::configure(const TokenizerSettings& settings, const Hasher& hasher) {
  const auto look_up = [&](const std::optional<std::string>& token, std::optional<TokenId>& found) {
    if (const auto known = token ? id(*token) : std::nullopt) found = known;
  };
  look_up(settings.bos, bos_);
  look_up(settings.eos, eos_);
  look_up(settings.pad, pad_);
  look_up(settings.unknown, unknown_);
  max_length_ = settings.max_length;
  hash_ = hasher.hex();
}

const Arrangement& ConfiguredTokenizer::arrangement(bool pair) const {
  if (pair && !pair_)
    data_error("the model's tokenizer.json does not say how two texts stand together");
  return pair ? *pair_ : single_;
}

void ConfiguredTokenizer::put_around(bool bos, bool eos) {
  single_ = {};
  pair_.emplace();
  for (const bool second : {false, true}) {
    const int32_t type = second ? 1 : 0;
    using Source = Arrangement::Source;
    std::vector<Arrangement::Part> parts;
    if (bos && bos_) parts.push_back({Source::kToken, type, *bos_});
    parts.push_back({second ? Source::kSecond : Source::kFirst, type});
    if (eos && eos_) parts.push_back({Source::kToken, type, *eos_});
    pair_->parts.insert(pair_->parts.end(), parts.begin(), parts.end());
    if (!second) single_.parts = std::move(parts);
  }
}

}  // namespace assay
