/// SentencePiece's way with spaces: a visible sign, also before the first word.
#pragma once

#include <string>

#include "harness/core/json.h"

namespace assay {

/// Read alike by the pre-tokenizer and the decoder.
struct MetaspaceOptions {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string sign = "\u2581";
  Prepend prepend = Prepend::kAlways;
  bool split = true;

  static MetaspaceOptions read(JsonReader& json);
};

}  // namespace assay
