#include "harness/tokenizer/hf_json/decoder.h"

#include "harness/tokenizer/hf_json/stage.h"
#include "harness/tokenizer/limits.h"

namespace assay {
namespace {

size_t bytes_of(const std::vector<std::string>& tokens) {
  size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  return bytes;
}

struct DecoderSequence : TokenDecoder {
  std::vector<std::unique_ptr<TokenDecoder>> parts;
  void apply(std::vector<std::string>& tokens) const override {
    const size_t max_bytes = max_output_bytes(bytes_of(tokens));
    for (const auto& part : parts) {
      part->apply(tokens);
      check_output_bytes(bytes_of(tokens), max_bytes);
    }
  }
};

std::unique_ptr<TokenDecoder> make_decoder_sequence(JsonReader& json) {
  auto sequence = std::make_unique<DecoderSequence>();
  for (const JsonReader& part : json.at("decoders").elements())
    sequence->parts.push_back(make_decoder(part));
  return sequence;
}

}  // namespace

std::unique_ptr<TokenDecoder> make_decoder(const JsonReader& json) {
  static const StageFactories<TokenDecoder> makers{
      {"BPEDecoder", make_bpe_decoder},       {"ByteFallback", make_byte_fallback},
      {"ByteLevel", make_byte_level_decoder}, {"Fuse", make_fuse},
      {"Metaspace", make_metaspace_decoder},  {"Replace", make_replace_decoder},
      {"Sequence", make_decoder_sequence},    {"Strip", make_strip_decoder},
      {"WordPiece", make_word_piece_decoder},
  };
  return make_stage(json, "decoder", makers);
}

}  // namespace assay
