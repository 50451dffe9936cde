#include "harness/merge/engine/diagnostics.h"

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

Json Diagnostics::to_json() const {
  const std::lock_guard lock(mutex_);
  return sums_;
}

void Diagnostics::add(const Json& reported) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : reported.get<Sums>()) {
    sums_[name].first += entry.first;
    sums_[name].second += entry.second;
  }
}

}  // namespace assay
