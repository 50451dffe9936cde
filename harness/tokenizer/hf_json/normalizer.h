/// The first stage of a tokenizer.json: rewrites the text before it is split.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "harness/core/json.h"

namespace assay {

/// The text that stages rewrite, valid UTF-8.
struct NormalText {
  std::string text;
  /// Whether it begins at the start of the whole input, for stages that mark the start of a text.
  bool at_start;
  size_t max_bytes = SIZE_MAX;  ///< bytes that the text may grow to; see check_output_bytes()
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalText& text) const = 0;
};

/// UserError naming the place when the object is not a known normalizer.
std::unique_ptr<Normalizer> make_normalizer(const JsonReader& json);

// By file: unicode_normalizers.cpp,
std::unique_ptr<Normalizer> make_nfc(JsonReader& json);
std::unique_ptr<Normalizer> make_nfd(JsonReader& json);
std::unique_ptr<Normalizer> make_nfkc(JsonReader& json);
std::unique_ptr<Normalizer> make_nfkd(JsonReader& json);
std::unique_ptr<Normalizer> make_lowercase(JsonReader& json);
std::unique_ptr<Normalizer> make_strip_accents(JsonReader& json);
// bert_normalizer.cpp,
std::unique_ptr<Normalizer> make_bert_normalizer(JsonReader& json);
// text_normalizers.cpp,
std::unique_ptr<Normalizer> make_strip(JsonReader& json);
std::unique_ptr<Normalizer> make_prepend(JsonReader& json);
std::unique_ptr<Normalizer> make_replace(JsonReader& json);
std::unique_ptr<Normalizer> make_nmt(JsonReader& json);
std::unique_ptr<Normalizer> make_byte_level_normalizer(JsonReader& json);
// precompiled_normalizer.cpp.
std::unique_ptr<Normalizer> make_precompiled(JsonReader& json);

}  // namespace assay
