#include "harness/tokenizer/models/word_cache.h"

namespace assay {
namespace {

constexpr size_t kMaxWords = 1 << 16;
constexpr size_t kMaxWordBytes = 64;  // bytes

}  // namespace

bool WordCache::get(std::string_view pre_token, TokenIds& ids) const {
  if (pre_token.size() > kMaxWordBytes) return false;
  const auto found = ranges_.find(pre_token);
  if (found == ranges_.end()) return false;
  const auto begin = ids_.begin() + found->second.begin;
  ids.insert(ids.end(), begin, begin + found->second.size);
  return true;
}

void WordCache::put(std::string_view pre_token, const TokenIds& ids, size_t first) {
  if (pre_token.size() > kMaxWordBytes) return;
  if (ranges_.size() >= kMaxWords) {
    ranges_.clear();
    ids_.clear();
  }
  const Range range{static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(ids.size() - first)};
  ids_.insert(ids_.end(), ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
  ranges_.emplace(pre_token, range);
}

std::unique_ptr<WordCache> WordCaches::acquire() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<WordCache>();
  auto cache = std::move(idle_.back());
  idle_.pop_back();
  return cache;
}

void WordCaches::release(std::unique_ptr<WordCache> cache) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(cache));
}

}  // namespace assay
