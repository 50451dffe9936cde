/// Metaspace: spaces are replaced by a visible symbol (U+2581), which is also prepended to the
/// first word.
#pragma once

#include <string>

#include "harness/core/json.h"

namespace assay {

/// The options of both the pre-tokenizer and the decoder.
struct MetaspaceOptions {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string replacement = "\u2581";
  Prepend prepend = Prepend::kAlways;
  bool split = true;

  static MetaspaceOptions read(JsonReader& json);
};

}  // namespace assay
