#include "harness/merge/engine/cache_session.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/hash.h"

namespace assay {
namespace {

/// An equal share of what several values cost together; the first one's takes the remainder, so
/// that all shares add up to the whole.
template <typename T>
void take_share(std::optional<T>& value, size_t index, size_t count) {
  if (!value) return;
  const T parts = static_cast<T>(count), share = *value / parts;
  value = index == 0 ? *value - share * (parts - 1) : share;
}

Cost share_of(Cost cost, size_t index, size_t count) {
  take_share(cost.wall_s, index, count);
  take_share(cost.cpu_s, index, count);
  take_share(cost.device_s, index, count);
  take_share(cost.flops, index, count);
  take_share(cost.bytes_read, index, count);
  take_share(cost.bytes_written, index, count);
  take_share(cost.examples, index, count);
  take_share(cost.gradient_steps, index, count);
  return cost;
}

}  // namespace

std::string CacheSession::delta_key(const std::string& tensor, size_t expert) {
  if (!on()) return {};
  const std::lock_guard lock(mutex_);
  std::vector<std::string>& keys = delta_keys_[tensor];
  if (keys.empty())
    for (const std::string& each : experts_)
      keys.push_back(Hasher().text(tensor).text(base_).text(each).hex());
  return keys.at(expert);
}

std::string CacheSession::pair_key(const std::string& tensor, size_t one, size_t other) const {
  if (!on()) return {};
  const auto [first, second] = std::minmax(experts_.at(one), experts_.at(other));
  return Hasher().text(tensor).text(first).text(second).hex();
}

std::vector<std::any> CacheSession::get(const std::vector<std::string>& keys,
                                        const ComputeMissing& compute) {
  std::vector<std::any> values(keys.size());
  std::vector<size_t> missing;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (std::optional<std::any> known = recall(keys[i]))
      values[i] = std::move(*known);
    else
      missing.push_back(i);
  }
  if (missing.empty()) return values;
  std::vector<CachedValue> computed;
  const Cost cost = measured([&] { computed = compute(missing); });
  for (size_t k = 0; k < missing.size(); ++k) {
    CachedValue& made = computed.at(k);
    if (cache_)
      cache_->insert(keys[missing[k]], {made.value, share_of(cost, k, missing.size())}, made.bytes);
    values[missing[k]] = std::move(made.value);
  }
  return values;
}

at::Tensor CacheSession::part(const std::string& tensor, int64_t offset, const std::string& key,
                              int64_t count, at::Device device,
                              const std::function<void(at::Tensor& values)>& compute) {
  CachedPart* part = cache_ ? cache_->part(tensor, offset, count, device) : nullptr;
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

void CacheSession::charge(const Cost& cost) {
  const std::lock_guard lock(mutex_);
  if (reused_)
    *reused_ += cost;
  else
    reused_ = cost;
}

std::optional<std::any> CacheSession::recall(const std::string& key) {
  if (!cache_) return std::nullopt;
  auto known = cache_->find(key);
  if (!known) return std::nullopt;
  charge(known->cost);
  return std::move(known->value);
}

Cost CacheSession::measured(const std::function<void()>& work) const {
  if (cache_) return measure_(work);
  work();
  return {};
}

}  // namespace assay
