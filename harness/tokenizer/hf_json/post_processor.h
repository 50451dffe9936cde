/// The fourth stage of a tokenizer.json: the model's own tokens around texts.
#pragma once

#include "harness/core/json.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

struct PostProcessor {
  Arrangement single = Arrangement::plain(false);
  /// Nothing where the file does not say how two texts stand together.
  std::optional<Arrangement> pair = Arrangement::plain(true);
};

/// UserError naming the place when the object is not one of a known post-processor, or is one that
/// does not keep the text once and whole.
PostProcessor read_post_processor(const JsonReader& json);

}  // namespace assay
