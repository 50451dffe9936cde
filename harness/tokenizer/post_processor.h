/// The fourth stage of a tokenizer.json: the model's own tokens around a text.
#pragma once

#include "harness/core/json.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// What comes before and after the tokens of a single text.
struct Surround {
  TokenIds before, after;
};

/// UserError naming the place when the object is not one of a known post-processor, or is one that
/// does not keep the text once and whole.
Surround read_post_processor(const JsonReader& json);

}  // namespace assay
