#include "harness/merge/merge_cache.h"

#include <ATen/ATen.h>

#include <fmt/format.h>

#include <utility>

namespace assay {
namespace {

/// What a value takes besides its own bytes: key, list, index.
constexpr int64_t kOverhead = 400;

}  // namespace

std::optional<MergeCache::Entry> MergeCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  order_.splice(order_.begin(), order_, found->second);
  return order_.front().entry;
}

void MergeCache::insert(const std::string& key, Entry entry, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (const auto known = index_.find(key); known != index_.end()) {
    bytes_ -= known->second->bytes;
    order_.erase(known->second);
  }
  order_.push_front({key, std::move(entry), bytes + kOverhead});
  index_[key] = order_.begin();
  bytes_ += order_.front().bytes;
  while (bytes_ > capacity_) {  // evict
    bytes_ -= order_.back().bytes;
    index_.erase(order_.back().key);
    order_.pop_back();
  }
}

int64_t MergeCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

CachedPart* MergeCache::part(const std::string& tensor, int64_t offset, int64_t count,
                             at::Device device) {
  const std::lock_guard lock(mutex_);
  CachedPart& part = parts_[fmt::format("{} {}", tensor, offset)];
  const int64_t bytes = count * static_cast<int64_t>(sizeof(float));
  if (part.values.defined() && part.values.numel() == count && part.values.device() == device)
    return &part;
  if (part.values.defined()) parts_bytes_ -= part.values.nbytes();
  part = {};
  if (parts_bytes_ + bytes > parts_capacity_) return nullptr;
  // Zeros, so that page faults happen before the work that is charged begins.
  part.values = at::zeros({count}, at::device(device).dtype(at::kFloat));
  parts_bytes_ += bytes;
  return &part;
}

}  // namespace assay
