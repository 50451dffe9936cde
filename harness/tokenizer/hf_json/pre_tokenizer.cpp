#include "harness/tokenizer/hf_json/pre_tokenizer.h"

#include "harness/tokenizer/hf_json/stage.h"
#include "harness/tokenizer/limits.h"

namespace assay {
namespace {

struct PreTokenizerSequence : PreTokenizer {
  std::vector<std::unique_ptr<PreTokenizer>> parts;
  void split(PreTokens& pre_tokens) const override {
    for (const auto& part : parts) {
      part->split(pre_tokens);
      check_output_bytes(pre_tokens.text.size(), pre_tokens.max_bytes);
    }
  }
};

std::unique_ptr<PreTokenizer> make_pre_tokenizer_sequence(JsonReader& json) {
  auto sequence = std::make_unique<PreTokenizerSequence>();
  for (const JsonReader& part : json.at("pretokenizers").elements())
    sequence->parts.push_back(make_pre_tokenizer(part));
  return sequence;
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonReader& json) {
  static const StageFactories<PreTokenizer> makers{
      {"BertPreTokenizer", make_bert_pre_tokenizer},
      {"ByteLevel", make_byte_level_split},
      {"CharDelimiterSplit", make_char_delimiter_split},
      {"Digits", make_digits},
      {"FixedLength", make_fixed_length},
      {"Metaspace", make_metaspace},
      {"Punctuation", make_punctuation},
      {"Sequence", make_pre_tokenizer_sequence},
      {"Split", make_split},
      {"Whitespace", make_whitespace},
      {"WhitespaceSplit", make_whitespace_split},
  };
  return make_stage(json, "pre-tokenizer", makers);
}

}  // namespace assay
