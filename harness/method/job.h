/// What a method is given to work on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace assay {

/// Numbers a method reports about its own work, averaged over tensors and stored with the run: for
/// instance the share of tensors that SLERP interpolated linearly.
class Diagnostics {
 public:
  void report(const std::string& name, double value);
  std::map<std::string, double> means() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<double, int64_t>> sums_;
};

/// One tensor of every model: same name, same shape, same device; each in its storage dtype.
/// Floating dtypes only: integer tensors are copied and never reach a method.
struct TensorJob {
  std::string name;
  at::Tensor base;                  ///< undefined unless the method needs a base
  std::vector<at::Tensor> experts;  ///< in the order of the merge
  uint64_t seed_key = 0;            ///< a hash of seed, method, version and tensor name
  Diagnostics* diagnostics = nullptr;

  /// The Philox key of this tensor for one expert: with the element index as counter, draws depend
  /// on (seed, method, version, tensor, expert, element) and on nothing else.
  uint64_t expert_key(size_t expert) const;
  void report(const std::string& what, double value) const {
    if (diagnostics) diagnostics->report(what, value);
  }
};

/// A whole merge, for methods that need more than one tensor at a time.
class ModelJob {
 public:
  virtual ~ModelJob() = default;
  virtual size_t num_experts() const = 0;
  /// The tensors that are merged, in name order.
  virtual const std::vector<std::string>& names() const = 0;
  /// Loads one tensor of every model. May be called any number of times, in any order.
  virtual TensorJob tensor(const std::string& name) const = 0;
};

}  // namespace assay
