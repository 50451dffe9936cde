/// The tokens of texts, kept so that a text is tokenized once.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// Shared by the models that one program scores; those with equal tokenizers share the tokens.
/// Thread-safe. Holds at most 256 MiB of ids; texts beyond that are tokenized again.
class TokenCache {
 public:
  /// tokenizer.encode(text, special).
  TokenIds encode(const Tokenizer& tokenizer, const std::string& text, bool special);

 private:
  std::mutex mutex_;                               ///< held for what is below
  std::unordered_map<std::string, TokenIds> ids_;  ///< by tokenizer, text and `special`
  size_t held_ = 0;                                ///< ids in all
};

}  // namespace assay
