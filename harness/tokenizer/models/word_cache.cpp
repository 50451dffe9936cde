#include "harness/tokenizer/models/word_cache.h"

namespace assay {
namespace {

constexpr size_t kMostWords = 1 << 16;
constexpr size_t kLongestWord = 64;  // bytes

}  // namespace

bool WordCache::get(std::string_view piece, TokenIds& ids) const {
  if (piece.size() > kLongestWord) return false;
  const auto found = ranges_.find(piece);
  if (found == ranges_.end()) return false;
  const auto begin = ids_.begin() + found->second.begin;
  ids.insert(ids.end(), begin, begin + found->second.size);
  return true;
}

void WordCache::put(std::string_view piece, const TokenIds& ids, size_t first) {
  if (piece.size() > kLongestWord) return;
  if (ranges_.size() >= kMostWords) {
    ranges_.clear();
    ids_.clear();
  }
  const Range range{static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(ids.size() - first)};
  ids_.insert(ids_.end(), ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
  ranges_.emplace(piece, range);
}

std::unique_ptr<WordCache> WordCaches::take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<WordCache>();
  auto cache = std::move(idle_.back());
  idle_.pop_back();
  return cache;
}

void WordCaches::give_back(std::unique_ptr<WordCache> cache) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(cache));
}

}  // namespace assay
