#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/hf_json/split_behavior.h"
#include "harness/tokenizer/unicode/pattern.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

struct PatternSplit : PreTokenizer {
  PatternSplit(TextPattern what, SplitBehavior then, bool inverted)
      : pattern(std::move(what)), behavior(then), invert(inverted) {}
  void split(PreTokens& pre_tokens) const override {
    split_pre_tokens(pre_tokens, behavior, invert,
                     [&](std::string_view text, const auto& add) { pattern.each(text, add); });
  }
  TextPattern pattern;
  SplitBehavior behavior;
  bool invert;
};

/// Runs of word characters, and runs of characters that are neither word characters nor white
/// space.
struct WhitespacePreTokenizer : PreTokenizer {
  enum class Kind { kSpace, kWord, kOther };
  static Kind kind_of(char32_t c) {
    return is_word(c) ? Kind::kWord : is_white_space(c) ? Kind::kSpace : Kind::kOther;
  }
  void split(PreTokens& pre_tokens) const override {
    split_pre_tokens(pre_tokens, SplitBehavior::kRemoved, true,
                     [](std::string_view text, const auto& add) {
                       size_t begin = 0;
                       Kind kind = Kind::kSpace;
                       for (size_t i = 0; i < text.size();) {
                         const size_t at = i;
                         const Kind next = kind_of(next_char(text, i));
                         if (next == kind) continue;
                         if (kind != Kind::kSpace) add(begin, at);
                         begin = at;
                         kind = next;
                       }
                       if (kind != Kind::kSpace) add(begin, text.size());
                     });
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> make_split(JsonReader& json) {
  return std::make_unique<PatternSplit>(TextPattern(json.at("pattern")),
                                        read_split_behavior(json.at("behavior")),
                                        json.boolean("invert", false));
}

std::unique_ptr<PreTokenizer> make_whitespace(JsonReader&) {
  return std::make_unique<WhitespacePreTokenizer>();
}

}  // namespace assay
