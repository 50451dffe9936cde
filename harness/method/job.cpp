#include "harness/method/job.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "harness/core/hash.h"

namespace assay {

void Diagnostics::report(const std::string& name, double value) {
  const std::lock_guard lock(mutex_);
  auto& [sum, count] = sums_[name];
  sum += value;
  ++count;
}

Json Diagnostics::note() const {
  const std::lock_guard lock(mutex_);
  return sums_;
}

void Diagnostics::recall(const Json& note) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : note.get<Sums>()) {
    sums_[name].first += entry.first;
    sums_[name].second += entry.second;
  }
}

std::map<std::string, double> Diagnostics::means() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, double> out;
  for (const auto& [name, entry] : sums_)
    out[name] = entry.first / static_cast<double>(entry.second);
  return out;
}

uint64_t TensorJob::expert_key(size_t expert) const {
  return Hasher().number(seed_key).number(expert).low64();
}

at::Tensor TensorJob::result() const {
  if (room.defined()) return room;
  const at::Tensor& like = base.defined() ? base : experts.front();
  return at::empty(like.sizes(), like.options().dtype(at::kFloat));
}

TensorParts::TensorParts(TensorJob head, size_t num_experts, int64_t elements, WorkingMemory memory,
                         std::function<void(const Body&)> visit, Glance glance, Sharing& sharing)
    : head_(std::move(head)),
      num_experts_(num_experts),
      elements_(elements),
      memory_(std::move(memory)),
      visit_(std::move(visit)),
      glance_(std::move(glance)),
      sharing_(&sharing) {}

std::string TensorParts::delta_key(size_t expert) const {
  return sharing_->delta_key(name(), expert);
}

std::string TensorParts::pair_key(size_t one, size_t other) const {
  if (!sharing_->on()) return {};
  const auto [first, second] = std::minmax(sharing_->expert(one), sharing_->expert(other));
  return Hasher().text(name()).text(first).text(second).hex();
}

}  // namespace assay
