/// Memoized tokenization: a text is tokenized once.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// Shared by all models that are scored in one process: models with equal tokenizers share the
/// tokens. Thread-safe. Holds at most 256 MiB of ids, without eviction; texts beyond that are
/// tokenized again.
class TokenCache {
 public:
  /// tokenizer.encode(text, special).
  TokenIds encode(const Tokenizer& tokenizer, const std::string& text, bool special);

 private:
  std::mutex mutex_;                               ///< guards the members below
  std::unordered_map<std::string, TokenIds> ids_;  ///< keyed by tokenizer, text and `special`
  size_t held_ = 0;                                ///< total number of ids
};

}  // namespace assay
