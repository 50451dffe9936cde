/// What a modifier gives the method that it modifies: the same merge, in which each expert's task
/// vector is multiplied by a factor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/method/engine_handle.h"
#include "harness/method/job.h"

namespace assay {

/// A factor per expert for each tensor, by name.
using ExpertFactors = std::function<const std::vector<double>&(const std::string& tensor)>;

/// Hands on to the engine of `Outer`, a TensorJob or a TensorParts. Nothing is cached: the engine's
/// keys are those of experts as they are.
template <typename Outer>
class PassedHandle final : public EngineHandle {
 public:
  explicit PassedHandle(const Outer& outer) : outer_(outer) {}
  uint64_t seed_key() const override { return outer_.expert_key(0); }
  at::Tensor result_buffer() const override {
    if constexpr (requires { outer_.result(); })
      return outer_.result();
    else
      return {};
  }
  void report_nonfinite(int64_t count) override {
    if constexpr (requires { outer_.report_nonfinite(count); }) outer_.report_nonfinite(count);
  }
  void report(const std::string& name, double value) override { outer_.report(name, value); }
  const Evidence* evidence() const override { return &outer_.evidence(); }

 private:
  const Outer outer_;
};

/// base + factor (expert - base), in float32; the expert itself where the factor is 1.
inline TensorJob scale_experts(const TensorJob& job, const std::vector<double>& factors) {
  TensorJob scaled(job.name, std::make_shared<PassedHandle<TensorJob>>(job));
  scaled.base = job.base;
  scaled.offset = job.offset;
  for (size_t i = 0; i < job.experts.size(); ++i)
    scaled.experts.push_back(factors[i] == 1
                                 ? job.experts[i]
                                 : delta_merge(job.base, {job.experts[i]},
                                               {{.weight = static_cast<float>(factors[i])}}, {}));
  return scaled;
}

inline TensorParts scale_experts(const TensorParts& tensor, const std::vector<double>& factors) {
  return {TensorJob(tensor.name(), std::make_shared<PassedHandle<TensorParts>>(tensor)),
          tensor.num_experts(),
          tensor.elements(),
          tensor.dtype(),
          tensor.memory(),
          [tensor, factors](const TensorParts::Body& body) {
            tensor.for_each([&](const TensorJob& part) { body(scale_experts(part, factors)); });
          }};
}

class ScaledModel final : public ModelJob {
 public:
  ScaledModel(const ModelJob& job, ExpertFactors factors)
      : job_(job), factors_(std::move(factors)) {}
  size_t num_experts() const override { return job_.num_experts(); }
  const std::vector<std::string>& names() const override { return job_.names(); }
  TensorParts parts(const std::string& name) const override {
    return scale_experts(job_.parts(name), factors_(name));
  }
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override {
    return scale_experts(job_.tensor(name), factors_(name));
  }
  const Evidence& evidence() const override { return job_.evidence(); }

 private:
  const ModelJob& job_;
  ExpertFactors factors_;
};

}  // namespace assay
