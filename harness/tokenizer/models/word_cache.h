/// Ids of pieces that were tokenized before: texts repeat their words.
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
  /// Appends the ids of a piece, when they are known.
  bool get(std::string_view piece, TokenIds& ids) const;
  /// Keeps those from `first` on. Long pieces hardly come again and are not kept.
  void put(std::string_view piece, const TokenIds& ids, size_t first);

 private:
  struct Range {
    uint32_t begin, size;
  };
  TextMap<Range> ranges_;
  TokenIds ids_;
};

/// One cache for every thread that tokenizes at a time.
class WordCaches {
 public:
  std::unique_ptr<WordCache> take();
  void give_back(std::unique_ptr<WordCache> cache);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

}  // namespace assay
