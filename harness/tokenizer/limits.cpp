#include "harness/tokenizer/limits.h"

#include "harness/core/error.h"

namespace assay {

void check_output_bytes(size_t bytes, size_t max_bytes) {
  if (bytes > max_bytes)
    data_error(
        "the tokenizer's stages produce more than {} bytes from one "
        "text: its file is damaged or malicious",
        max_bytes);
}

void StepLimit::reject() {
  data_error(
      "the tokenizer needs too many steps to find its tokens in one text: its file has very long "
      "tokens that the text almost contains");
}

}  // namespace assay
