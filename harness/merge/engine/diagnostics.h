/// The numbers that methods report about their work (TensorJob::report()).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "harness/core/json.h"

namespace assay {

/// Sums and counts by name. Thread-safe.
class Diagnostics {
 public:
  void report(const std::string& name, double value);
  std::map<std::string, double> means() const;
  /// What was reported, for add() to another's, in this process or a later one.
  Json to_json() const;
  void add(const Json& reported);

 private:
  using Sums = std::map<std::string, std::pair<double, int64_t>>;
  mutable std::mutex mutex_;
  Sums sums_;
};

}  // namespace assay
