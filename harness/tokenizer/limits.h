/// Limits on a tokenizer's memory and time. Only malicious files reach them.
#pragma once

#include <cstddef>

namespace assay {

/// The most bytes that stages may produce from `bytes` of text.
constexpr size_t max_output_bytes(size_t bytes) { return (size_t{1} << 20) + 64 * bytes; }

/// DataError when a stage produced more than `max_bytes`.
void check_output_bytes(size_t bytes, size_t max_bytes);

/// The longest token, prefix or replacement, in bytes, that may be compared at every position of a
/// text.
inline constexpr size_t kMaxPatternBytes = 512;

/// Counts the steps of a search for tokens in a text.
class StepLimit {
 public:
  explicit StepLimit(size_t text_bytes) : left_((size_t{1} << 24) + 256 * text_bytes) {}
  /// DataError when there were too many.
  void spend(size_t steps) {
    if (steps > left_) reject();
    left_ -= steps;
  }

 private:
  [[noreturn]] static void reject();
  size_t left_;
};

}  // namespace assay
