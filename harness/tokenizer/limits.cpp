#include "harness/tokenizer/limits.h"

#include "harness/core/error.h"

namespace assay {

void check_made(size_t bytes, size_t most) {
  if (bytes > most)
    data_error(
        "the tokenizer's stages make more than {} bytes of one "
        "text: its file is damaged, or made to fill the memory",
        most);
}

void StepLimit::refuse() {
  data_error(
      "the tokenizer takes too many steps to find its tokens in one text: its file holds very long "
      "tokens that the text nearly spells");
}

}  // namespace assay
