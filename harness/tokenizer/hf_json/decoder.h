/// Decoders of a tokenizer.json: they rewrite tokens before these are joined into a text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/core/json.h"

namespace assay {

class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// UserError naming the place when the object is not a known decoder.
std::unique_ptr<TokenDecoder> make_decoder(const JsonReader& json);

// By file: byte_decoders.cpp,
std::unique_ptr<TokenDecoder> make_byte_level_decoder(JsonReader& json);
std::unique_ptr<TokenDecoder> make_byte_fallback(JsonReader& json);
// text_decoders.cpp.
std::unique_ptr<TokenDecoder> make_fuse(JsonReader& json);
std::unique_ptr<TokenDecoder> make_strip_decoder(JsonReader& json);
std::unique_ptr<TokenDecoder> make_replace_decoder(JsonReader& json);
std::unique_ptr<TokenDecoder> make_metaspace_decoder(JsonReader& json);
std::unique_ptr<TokenDecoder> make_word_piece_decoder(JsonReader& json);
std::unique_ptr<TokenDecoder> make_bpe_decoder(JsonReader& json);

}  // namespace assay
