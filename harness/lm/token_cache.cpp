#include "harness/lm/token_cache.h"

#include "harness/core/hash.h"

namespace assay {
namespace {

constexpr size_t kMaxIds = (size_t{256} << 20) / sizeof(TokenId);

}  // namespace

TokenIds TokenCache::encode(const Tokenizer& tokenizer, const std::string& text, bool special) {
  const std::string key = Hasher().text(tokenizer.hash()).text(text).number(special ? 1 : 0).hex();
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = ids_.find(key); known != ids_.end()) return known->second;
  }
  TokenIds ids = tokenizer.encode(text, special);
  const std::lock_guard lock(mutex_);
  if (held_ + ids.size() <= kMaxIds && ids_.emplace(key, ids).second) held_ += ids.size();
  return ids;
}

}  // namespace assay
