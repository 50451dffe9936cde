/// The engine's side of the jobs of one tensor.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/hash.h"
#include "harness/merge/engine/cache_session.h"
#include "harness/merge/engine/diagnostics.h"
#include "harness/method/engine_handle.h"

namespace assay {

/// Must not outlive `diagnostics` and `cache`.
class TensorHandle final : public EngineHandle {
 public:
  TensorHandle(std::string name, uint64_t seed, Diagnostics& diagnostics, CacheSession& cache,
               const Evidence* evidence)
      : name_(std::move(name)),
        seed_(seed),
        diagnostics_(diagnostics),
        cache_(cache),
        evidence_(evidence) {}
  const std::string& name() const { return name_; }

  /// From here on a part is merged, whose result belongs in `buffer`.
  void begin_part(at::Tensor buffer) {
    buffer_ = std::move(buffer);
    nonfinite_.reset();
  }
  /// The part is merged. How many of its values the method counted as NaN or infinite, if it did.
  std::optional<int64_t> end_part() {
    buffer_.reset();
    return nonfinite_;
  }

  uint64_t expert_key(size_t expert) const override {
    return Hasher().number(seed_).text(name_).number(expert).low64();
  }
  at::Tensor result_buffer() const override { return buffer_; }
  void report_nonfinite(int64_t count) override { nonfinite_ = count; }
  void report(const std::string& name, double value) override { diagnostics_.report(name, value); }
  const Evidence* evidence() const override { return evidence_; }
  bool caches() const override { return cache_.on(); }
  std::string delta_key(size_t expert) const override { return cache_.delta_key(name_, expert); }
  std::string pair_key(size_t one, size_t other) const override {
    return cache_.pair_key(name_, one, other);
  }
  std::vector<std::any> cached(const std::vector<std::string>& keys,
                               const ComputeMissing& compute) override {
    return cache_.get(keys, compute);
  }
  at::Tensor cached_part(int64_t offset, const std::string& key, int64_t count, at::Device device,
                         const std::function<void(at::Tensor& values)>& compute) override {
    return cache_.part(name_, offset, key, count, device, compute);
  }

 private:
  std::string name_;
  uint64_t seed_;
  Diagnostics& diagnostics_;
  CacheSession& cache_;
  const Evidence* evidence_;  ///< may be null
  at::Tensor buffer_;         ///< undefined between parts
  std::optional<int64_t> nonfinite_;
};

}  // namespace assay
