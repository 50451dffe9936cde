/// What an engine provides behind the jobs that it gives to a method. For engines alone: authors of
/// methods reach it through TensorJob and TensorParts (job.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <any>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/method/evidence.h"
#include "harness/method/job.h"

namespace assay {

/// One tensor of a merge. As it stands it is no engine: no buffer, no cache, reports go nowhere.
/// Thread-safe as far as several threads each have a handle of their own.
class EngineHandle {
 public:
  virtual ~EngineHandle() = default;

  /// See TensorJob::expert_key().
  virtual uint64_t expert_key(size_t expert) const { return expert; }
  /// Where merge() is to write its result: flat, in the output dtype. Undefined: anywhere.
  virtual at::Tensor result_buffer() const { return {}; }
  /// How many values of the result are NaN or infinite.
  virtual void report_nonfinite(int64_t count);
  /// See TensorJob::report().
  virtual void report(const std::string& name, double value);

  /// See ModelJob::evidence(). Null without any.
  virtual const Evidence* evidence() const { return nullptr; }
  /// Whether values are cached at all.
  virtual bool caches() const { return false; }
  /// The beginnings of cache keys: see TensorParts. Empty without a cache.
  virtual std::string delta_key(size_t expert) const;
  virtual std::string pair_key(size_t one, size_t other) const;
  /// One value per key: cached ones, and what `compute` returns for the places of the others.
  virtual std::vector<std::any> cached(const std::vector<std::string>& keys,
                                       const ComputeMissing& compute);
  /// See TensorJob::cached_part(). Undefined without a cache.
  virtual at::Tensor cached_part(int64_t offset, const std::string& key, int64_t count,
                                 at::Device device,
                                 const std::function<void(at::Tensor& values)>& compute);
};

}  // namespace assay
