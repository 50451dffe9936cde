#include "harness/tokenizer/hf_json/decoder.h"
#include "harness/tokenizer/models/vocabulary.h"
#include "harness/tokenizer/unicode/byte_alphabet.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

struct ByteLevelDecoder : TokenDecoder {
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += alphabet_to_bytes(token).value_or(token);
    tokens = {valid_utf8(bytes)};
  }
};

/// Decodes runs of byte tokens such as "<0xC3>" as UTF-8, or as one U+FFFD per byte where a run is
/// invalid.
struct ByteFallbackDecoder : TokenDecoder {
  static void flush(std::string& bytes, std::vector<std::string>& out) {
    if (bytes.empty()) return;
    if (valid_utf8(bytes) == bytes)
      out.push_back(bytes);
    else
      out.insert(out.end(), bytes.size(), "\uFFFD");
    bytes.clear();
  }
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    for (std::string& token : tokens) {
      if (const auto byte = byte_of_token(token)) {
        bytes += *byte;
        continue;
      }
      flush(bytes, out);
      out.push_back(std::move(token));
    }
    flush(bytes, out);
    tokens = std::move(out);
  }
};

}  // namespace

std::unique_ptr<TokenDecoder> make_byte_level_decoder(JsonReader& json) {
  for (const char* about_encoding : {"add_prefix_space", "trim_offsets", "use_regex"})
    json.find(about_encoding);
  return std::make_unique<ByteLevelDecoder>();
}

std::unique_ptr<TokenDecoder> make_byte_fallback(JsonReader&) {
  return std::make_unique<ByteFallbackDecoder>();
}

}  // namespace assay
