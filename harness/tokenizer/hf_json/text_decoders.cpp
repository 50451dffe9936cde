#include <utility>

#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/decoder.h"
#include "harness/tokenizer/hf_json/metaspace.h"
#include "harness/tokenizer/limits.h"
#include "harness/tokenizer/unicode/pattern.h"

namespace assay {
namespace {

std::string replaced(std::string_view text, std::string_view what, std::string_view with) {
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, done)) {
    out.append(text, done, at - done).append(with);
    done = at + what.size();
  }
  return out.append(text, done);
}

struct FuseDecoder : TokenDecoder {
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens = {std::move(all)};
  }
};

/// Strips up to `start` and `stop` copies of a character from the ends of every token.
struct StripDecoder : TokenDecoder {
  std::string content;
  int64_t start = 0, stop = 0;
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start && rest.starts_with(content); ++i)
        rest.remove_prefix(content.size());
      for (int64_t i = 0; i < stop && rest.ends_with(content); ++i)
        rest.remove_suffix(content.size());
      token = std::string(rest);
    }
  }
};

struct ReplaceDecoder : TokenDecoder {
  ReplaceDecoder(TextPattern what, std::string with)
      : pattern(std::move(what)), content(std::move(with)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens)
      token = pattern.replace(token, content, max_output_bytes(token.size()));
  }
  TextPattern pattern;
  std::string content;
};

struct MetaspaceDecoder : TokenDecoder {
  MetaspaceOptions options;
  void apply(std::vector<std::string>& tokens) const override {
    const bool prepended = options.prepend != MetaspaceOptions::Prepend::kNever;
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replaced(tokens[i], options.replacement, i == 0 && prepended ? "" : " ");
  }
};

/// Puts spaces between words, and removes spaces before English punctuation.
struct WordPieceDecoder : TokenDecoder {
  std::string prefix = "##";
  bool cleanup = true;
  static std::string clean(std::string text) {
    constexpr std::pair<std::string_view, std::string_view> kChanges[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [what, with] : kChanges) text = replaced(text, what, with);
    return text;
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0 && token.starts_with(prefix))
        token.erase(0, prefix.size());
      else if (i > 0)
        token.insert(token.begin(), ' ');
      if (cleanup) token = clean(std::move(token));
    }
  }
};

/// For tokens with a suffix that marks the end of a word.
struct BpeDecoder : TokenDecoder {
  std::string suffix = "</w>";
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replaced(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
  }
};

}  // namespace

std::unique_ptr<TokenDecoder> make_fuse(JsonReader&) { return std::make_unique<FuseDecoder>(); }

std::unique_ptr<TokenDecoder> make_strip_decoder(JsonReader& json) {
  auto strip = std::make_unique<StripDecoder>();
  const JsonReader content = json.at("content");
  strip->content = content.as_string();
  if (strip->content.empty()) content.fail("expected a character");
  strip->start = json.integer("start", 0);
  strip->stop = json.integer("stop", 0);
  return strip;
}

std::unique_ptr<TokenDecoder> make_replace_decoder(JsonReader& json) {
  return std::make_unique<ReplaceDecoder>(TextPattern(json.at("pattern")), json.string("content"));
}

std::unique_ptr<TokenDecoder> make_metaspace_decoder(JsonReader& json) {
  auto metaspace = std::make_unique<MetaspaceDecoder>();
  metaspace->options = MetaspaceOptions::read(json);
  return metaspace;
}

std::unique_ptr<TokenDecoder> make_word_piece_decoder(JsonReader& json) {
  auto pre_tokens = std::make_unique<WordPieceDecoder>();
  pre_tokens->prefix = json.string("prefix", "##");
  pre_tokens->cleanup = json.boolean("cleanup", true);
  return pre_tokens;
}

std::unique_ptr<TokenDecoder> make_bpe_decoder(JsonReader& json) {
  auto bpe = std::make_unique<BpeDecoder>();
  const auto suffix = json.find("suffix");
  if (suffix) bpe->suffix = suffix->as_string();
  if (bpe->suffix.empty()) suffix->fail("expected a text that is not empty");
  return bpe;
}

}  // namespace assay
