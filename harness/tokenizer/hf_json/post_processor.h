/// The fourth stage of a tokenizer.json: adds special tokens around texts.
#pragma once

#include "harness/core/json.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

struct PostProcessor {
  InputTemplate single = InputTemplate::plain(false);
  /// Absent where the file does not define pairs.
  std::optional<InputTemplate> pair = InputTemplate::plain(true);
};

/// UserError naming the place when the object is not a known post-processor, or does not contain
/// the full text exactly once.
PostProcessor read_post_processor(const JsonReader& json);

}  // namespace assay
