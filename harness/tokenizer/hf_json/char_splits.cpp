#include "harness/core/error.h"
#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/hf_json/split_behavior.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

/// Splits at every character for which is_split(c) holds.
template <typename IsSplit>
void split_at_chars(PreTokens& pre_tokens, SplitBehavior behavior, const IsSplit& is_split) {
  split_pre_tokens(pre_tokens, behavior, false, [&](std::string_view text, const auto& add) {
    for (size_t i = 0; i < text.size();) {
      const size_t begin = i;
      if (is_split(next_char(text, i))) add(begin, i);
    }
  });
}

struct WhitespaceSplit : PreTokenizer {
  void split(PreTokens& pre_tokens) const override {
    split_at_chars(pre_tokens, SplitBehavior::kRemoved, is_white_space);
  }
};

struct BertPreTokenizer : PreTokenizer {
  void split(PreTokens& pre_tokens) const override {
    split_at_chars(pre_tokens, SplitBehavior::kRemoved, is_white_space);
    split_at_chars(pre_tokens, SplitBehavior::kIsolated, is_punctuation);
  }
};

struct PunctuationSplit : PreTokenizer {
  SplitBehavior behavior = SplitBehavior::kIsolated;
  void split(PreTokens& pre_tokens) const override {
    split_at_chars(pre_tokens, behavior, is_punctuation);
  }
};

struct DigitsSplit : PreTokenizer {
  bool individual = false;
  void split(PreTokens& pre_tokens) const override {
    split_at_chars(pre_tokens, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
                   is_numeric);
  }
};

struct CharDelimiterSplit : PreTokenizer {
  char32_t delimiter = 0;
  void split(PreTokens& pre_tokens) const override {
    split_at_chars(pre_tokens, SplitBehavior::kRemoved, [&](char32_t c) { return c == delimiter; });
  }
};

struct FixedLengthSplit : PreTokenizer {
  int64_t length = 5;
  void split(PreTokens& pre_tokens) const override {
    split_pre_tokens(pre_tokens, SplitBehavior::kIsolated, false,
                     [&](std::string_view text, const auto& add) {
                       for (size_t i = 0; i < text.size();) {
                         const size_t begin = i;
                         for (int64_t n = 0; n < length && i < text.size(); ++n) next_char(text, i);
                         add(begin, i);
                       }
                     });
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> make_whitespace_split(JsonReader&) {
  return std::make_unique<WhitespaceSplit>();
}

std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer(JsonReader&) {
  return std::make_unique<BertPreTokenizer>();
}

std::unique_ptr<PreTokenizer> make_punctuation(JsonReader& json) {
  auto split = std::make_unique<PunctuationSplit>();
  if (const auto behavior = json.find("behavior")) split->behavior = read_split_behavior(*behavior);
  return split;
}

std::unique_ptr<PreTokenizer> make_digits(JsonReader& json) {
  auto split = std::make_unique<DigitsSplit>();
  split->individual = json.boolean("individual_digits", false);
  return split;
}

std::unique_ptr<PreTokenizer> make_char_delimiter_split(JsonReader& json) {
  auto split = std::make_unique<CharDelimiterSplit>();
  const JsonReader field = json.at("delimiter");
  const std::string delimiter = valid_utf8(field.as_string());
  size_t end = 0;
  if (!delimiter.empty()) split->delimiter = next_char(delimiter, end);
  if (delimiter.empty() || end != delimiter.size()) field.fail("expected one character");
  return split;
}

std::unique_ptr<PreTokenizer> make_fixed_length(JsonReader& json) {
  auto split = std::make_unique<FixedLengthSplit>();
  const JsonReader field = json.at("length");
  split->length = field.as_integer();
  if (split->length < 1) field.fail("expected a length of at least 1");
  return split;
}

}  // namespace assay
