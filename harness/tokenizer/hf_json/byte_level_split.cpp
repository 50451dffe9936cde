#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/hf_json/split_behavior.h"
#include "harness/tokenizer/unicode/byte_alphabet.h"
#include "harness/tokenizer/unicode/regex.h"

namespace assay {
namespace {

/// GPT-2's pattern: contractions, letters, digits and other symbols, each with the space before it.
constexpr std::string_view kWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct ByteLevelSplit : PreTokenizer {
  bool add_prefix_space = true, use_regex = true;

  void split(PreTokens& pre_tokens) const override {
    if (add_prefix_space)
      rewrite(pre_tokens, [](std::string_view pre_token, bool) {
        return pre_token.starts_with(' ') ? std::string(pre_token)
                                          : std::string(" ").append(pre_token);
      });
    if (use_regex)
      split_pre_tokens(pre_tokens, SplitBehavior::kIsolated, false,
                       [](std::string_view text, const auto& add) { words().each(text, add); });
    rewrite(pre_tokens,
            [](std::string_view pre_token, bool) { return bytes_to_alphabet(pre_token); });
  }

 private:
  static const Regex& words() {
    static const Regex regex(kWords, "the pattern of ByteLevel");
    return regex;
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> make_byte_level_split(JsonReader& json) {
  auto split = std::make_unique<ByteLevelSplit>();
  split->add_prefix_space = json.boolean("add_prefix_space", true);
  split->use_regex = json.boolean("use_regex", true);
  json.find("trim_offsets");  // affects reported offsets only, which are not used here
  return split;
}

}  // namespace assay
