#include "harness/tokenizer/hf_json/pre_tokenizer.h"
#include "harness/tokenizer/hf_json/split_behavior.h"
#include "harness/tokenizer/unicode/byte_alphabet.h"
#include "harness/tokenizer/unicode/regex.h"

namespace assay {
namespace {

/// GPT-2's words: contractions, letters, digits and other signs, each with the space before it.
constexpr std::string_view kWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct ByteLevelSplit : PreTokenizer {
  bool add_prefix_space = true, use_regex = true;

  void split(Pieces& pieces) const override {
    if (add_prefix_space)
      rewrite(pieces, [](std::string_view piece, bool) {
        return piece.starts_with(' ') ? std::string(piece) : std::string(" ").append(piece);
      });
    if (use_regex)
      split_pieces(pieces, SplitBehavior::kIsolated, false,
                   [](std::string_view text, const auto& add) { words().each(text, add); });
    rewrite(pieces, [](std::string_view piece, bool) { return bytes_to_alphabet(piece); });
  }

 private:
  static const Regex& words() {
    static const Regex regex(kWords, "the words of ByteLevel");
    return regex;
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> make_byte_level_split(JsonReader& json) {
  auto split = std::make_unique<ByteLevelSplit>();
  split->add_prefix_space = json.boolean("add_prefix_space", true);
  split->use_regex = json.boolean("use_regex", true);
  json.find("trim_offsets");  // about places in the text, which nobody asks for here
  return split;
}

}  // namespace assay
