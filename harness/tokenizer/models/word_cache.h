/// Memoizes the ids of pre-tokens: texts repeat their words.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "harness/tokenizer/models/vocabulary.h"

namespace assay {

/// For one thread.
class WordCache {
 public:
  /// Appends the ids of a pre-token, when they are cached.
  bool get(std::string_view pre_token, TokenIds& ids) const;
  /// Caches the ids from `first` on. Long pre-tokens rarely repeat and are not cached.
  void put(std::string_view pre_token, const TokenIds& ids, size_t first);

 private:
  struct Range {
    uint32_t begin, size;
  };
  TextMap<Range> ranges_;
  TokenIds ids_;
};

/// A pool of caches, one for each thread that tokenizes concurrently.
class WordCaches {
 public:
  std::unique_ptr<WordCache> acquire();
  void release(std::unique_ptr<WordCache> cache);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

}  // namespace assay
