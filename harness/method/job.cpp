#include "harness/method/job.h"

#include <ATen/ATen.h>

#include <utility>

#include "harness/core/error.h"
#include "harness/method/engine_handle.h"

namespace assay {
namespace {

/// The tensor whose shape and device the job's result has.
const at::Tensor& reference_of(const TensorJob& job) {
  return job.base.defined() ? job.base : job.experts.front();
}

}  // namespace

TensorJob::TensorJob() : engine_(std::make_shared<EngineHandle>()) {}

TensorJob::TensorJob(std::string tensor, std::shared_ptr<EngineHandle> engine)
    : name(std::move(tensor)), engine_(std::move(engine)) {}

at::Tensor TensorJob::result() const {
  at::Tensor buffer = engine_->result_buffer();
  return buffer.defined() ? buffer : result(at::kFloat);
}

at::Tensor TensorJob::result(at::ScalarType dtype) const {
  at::Tensor buffer = engine_->result_buffer();
  if (buffer.defined() && buffer.scalar_type() == dtype) return buffer;
  const at::Tensor& like = reference_of(*this);
  return at::empty(like.sizes(), like.options().dtype(dtype));
}

void TensorJob::report_nonfinite(int64_t count) const { engine_->report_nonfinite(count); }

void TensorJob::report(const std::string& what, double value) const {
  engine_->report(what, value);
}

uint64_t TensorJob::expert_key(size_t expert) const { return engine_->expert_key(expert); }

const Evidence& TensorJob::evidence() const {
  const Evidence* evidence = engine_->evidence();
  ASSAY_CHECK(evidence, "a method without a need for calibration data asks for evidence");
  return *evidence;
}

bool TensorJob::caches() const { return engine_->caches(); }

std::string TensorJob::delta_key(size_t expert) const { return engine_->delta_key(expert); }

at::Tensor TensorJob::cached_part(const std::string& key, int64_t count,
                                  const std::function<void(at::Tensor& values)>& compute) const {
  return engine_->cached_part(offset, key, count, reference_of(*this).device(), compute);
}

TensorParts::TensorParts(TensorJob head, size_t num_experts, int64_t elements, at::ScalarType dtype,
                         WorkingMemory memory, std::function<void(const Body&)> visit)
    : head_(std::move(head)),
      num_experts_(num_experts),
      elements_(elements),
      dtype_(dtype),
      memory_(std::move(memory)),
      visit_(std::move(visit)) {}

std::string TensorParts::pair_key(size_t one, size_t other) const {
  return head_.engine_->pair_key(one, other);
}

std::vector<std::any> TensorParts::cached_values(const std::vector<std::string>& keys,
                                                 const ComputeMissing& compute) const {
  return head_.engine_->cached(keys, compute);
}

}  // namespace assay
