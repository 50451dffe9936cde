#include "harness/method/job.h"

#include "harness/core/hash.h"

namespace assay {

void Diagnostics::report(const std::string& name, double value) {
  const std::lock_guard lock(mutex_);
  auto& [sum, count] = sums_[name];
  sum += value;
  ++count;
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

}  // namespace assay
