#include "harness/tokenizer/hf_json/normalizer.h"

#include "harness/tokenizer/hf_json/stage.h"
#include "harness/tokenizer/limits.h"

namespace assay {
namespace {

struct NormalizerSequence : Normalizer {
  std::vector<std::unique_ptr<Normalizer>> parts;
  void apply(NormalText& text) const override {
    for (const auto& part : parts) {
      part->apply(text);
      check_output_bytes(text.text.size(), text.max_bytes);
    }
  }
};

std::unique_ptr<Normalizer> make_normalizer_sequence(JsonReader& json) {
  auto sequence = std::make_unique<NormalizerSequence>();
  for (const JsonReader& part : json.at("normalizers").elements())
    sequence->parts.push_back(make_normalizer(part));
  return sequence;
}

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const JsonReader& json) {
  static const StageFactories<Normalizer> makers{
      {"BertNormalizer", make_bert_normalizer},
      {"ByteLevel", make_byte_level_normalizer},
      {"Lowercase", make_lowercase},
      {"NFC", make_nfc},
      {"NFD", make_nfd},
      {"NFKC", make_nfkc},
      {"NFKD", make_nfkd},
      {"Nmt", make_nmt},
      {"Precompiled", make_precompiled},
      {"Prepend", make_prepend},
      {"Replace", make_replace},
      {"Sequence", make_normalizer_sequence},
      {"Strip", make_strip},
      {"StripAccents", make_strip_accents},
  };
  return make_stage(json, "normalizer", makers);
}

}  // namespace assay
