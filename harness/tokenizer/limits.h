/// Bounds on what a tokenizer may cost. Only files that were made to exhaust a machine reach them.
#pragma once

#include <cstddef>

namespace assay {

/// Most bytes that stages may make of `bytes` of text.
constexpr size_t most_made_of(size_t bytes) { return (size_t{1} << 20) + 64 * bytes; }

/// DataError when a stage made more than `most` bytes.
void check_made(size_t bytes, size_t most);

/// Longest text that a token, prefix or sign may have where every place of a text is compared with
/// it, in bytes.
inline constexpr size_t kLongestPart = 512;

/// Counts steps of looking for tokens in a text.
class StepLimit {
 public:
  explicit StepLimit(size_t text_bytes) : left_((size_t{1} << 24) + 256 * text_bytes) {}
  /// DataError when there were too many.
  void spend(size_t steps) {
    if (steps > left_) refuse();
    left_ -= steps;
  }

 private:
  [[noreturn]] static void refuse();
  size_t left_;
};

}  // namespace assay
