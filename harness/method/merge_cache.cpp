#include "harness/method/merge_cache.h"

#include <ATen/ATen.h>

#include <fmt/format.h>

#include "harness/core/hash.h"

namespace assay {
namespace {

/// What a value takes besides its own bytes: key, list, index.
constexpr int64_t kOverhead = 400;

/// An equal share of what several values cost together; the first one's takes the remainder, so
/// that all shares add up to the whole.
template <typename T>
void take_share(std::optional<T>& value, size_t place, size_t count) {
  if (!value) return;
  const T parts = static_cast<T>(count), share = *value / parts;
  value = place == 0 ? *value - share * (parts - 1) : share;
}

Cost share_of(Cost cost, size_t place, size_t count) {
  take_share(cost.wall_s, place, count);
  take_share(cost.cpu_s, place, count);
  take_share(cost.device_s, place, count);
  take_share(cost.flops, place, count);
  take_share(cost.bytes_read, place, count);
  take_share(cost.bytes_written, place, count);
  take_share(cost.examples, place, count);
  take_share(cost.gradient_steps, place, count);
  return cost;
}

}  // namespace

std::optional<MergeCache::Entry> MergeCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  kept_.splice(kept_.begin(), kept_, found->second);
  return kept_.front().entry;
}

void MergeCache::insert(const std::string& key, Entry entry, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (const auto known = index_.find(key); known != index_.end()) {
    bytes_ -= known->second->bytes;
    kept_.erase(known->second);
  }
  kept_.push_front({key, std::move(entry), bytes + kOverhead});
  index_[key] = kept_.begin();
  bytes_ += kept_.front().bytes;
  while (bytes_ > capacity_) {
    bytes_ -= kept_.back().bytes;
    index_.erase(kept_.back().key);
    kept_.pop_back();
  }
}

int64_t MergeCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

SharedPart* MergeCache::part(const std::string& tensor, int64_t offset, int64_t count,
                             at::Device device) {
  const std::lock_guard lock(mutex_);
  SharedPart& part = parts_[fmt::format("{} {}", tensor, offset)];
  const int64_t bytes = count * static_cast<int64_t>(sizeof(float));
  if (part.values.defined() && part.values.numel() == count && part.values.device() == device)
    return &part;
  if (part.values.defined()) parts_bytes_ -= part.values.nbytes();
  part = {};
  if (parts_bytes_ + bytes > parts_capacity_) return nullptr;
  // Zeros, so that its pages are there before the work that is charged begins.
  part.values = at::zeros({count}, at::device(device).dtype(at::kFloat));
  parts_bytes_ += bytes;
  return &part;
}

const std::string& Sharing::delta_key(const std::string& tensor, size_t expert) {
  static const std::string none;
  if (!on()) return none;
  const std::lock_guard lock(mutex_);
  std::vector<std::string>& keys = delta_keys_[tensor];  // stays where it is
  if (keys.empty())
    for (const std::string& each : experts_)
      keys.push_back(Hasher().text(tensor).text(base_).text(each).hex());
  return keys.at(expert);
}

at::Tensor Sharing::part(const std::string& tensor, int64_t offset, const std::string& key,
                         int64_t count, at::Device device,
                         const std::function<void(at::Tensor& values)>& compute) {
  SharedPart* part = work_ ? work_->part(tensor, offset, count, device) : nullptr;
  if (!part) return {};
  if (part->key == key) {
    charge(part->cost);
    return part->values;
  }
  part->key.clear();
  part->cost = measured([&] { compute(part->values); });
  part->key = key;
  return part->values;
}

void Sharing::charge(const Cost& cost) {
  const std::lock_guard lock(mutex_);
  if (reused_)
    *reused_ += cost;
  else
    reused_ = cost;
}

std::optional<std::any> Sharing::recall(const std::string& key) {
  if (!work_) return std::nullopt;
  auto known = work_->find(key);
  if (!known) return std::nullopt;
  charge(known->cost);
  return std::move(known->value);
}

Cost Sharing::measured(const std::function<void()>& work) const {
  if (work_) return measure_(work);
  work();
  return {};
}

void Sharing::keep(const std::string& key, std::any value, int64_t bytes, const Cost& cost,
                   size_t place, size_t count) {
  if (work_) work_->insert(key, {std::move(value), share_of(cost, place, count)}, bytes);
}

}  // namespace assay
