/// What a modifier gives the method that it modifies: the same merge, with other experts.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/method/engine_handle.h"
#include "harness/method/job.h"

namespace assay::detail {

/// The experts of a part, modified.
using ModifyPart = std::function<std::vector<at::Tensor>(const TensorJob& part)>;

/// Hands on to the engine of `Outer`, a TensorJob or a TensorParts. Nothing is cached: the engine's
/// keys are those of experts as they are.
template <typename Outer>
class PassedHandle final : public EngineHandle {
 public:
  /// `last`: nothing changes the result after the inner method, so that it may write it where the
  /// engine wants it and count what is not finite.
  PassedHandle(const Outer& outer, bool last) : outer_(outer), last_(last) {}
  uint64_t expert_key(size_t expert) const override { return outer_.expert_key(expert); }
  at::Tensor result_buffer() const override {
    if constexpr (requires { outer_.result(); })
      if (last_) return outer_.result();
    return {};
  }
  void report_nonfinite(int64_t count) override {
    if constexpr (requires { outer_.report_nonfinite(count); })
      if (last_) outer_.report_nonfinite(count);
  }
  void report(const std::string& name, double value) override { outer_.report(name, value); }
  const Evidence* evidence() const override { return &outer_.evidence(); }

 private:
  const Outer outer_;
  const bool last_;
};

inline TensorJob modified_part(const TensorJob& part, const ModifyPart& modify, bool last) {
  TensorJob modified(part.name, std::make_shared<PassedHandle<TensorJob>>(part, last));
  modified.base = part.base;
  modified.offset = part.offset;
  modified.experts = modify(part);
  return modified;
}

inline TensorParts modified_parts(const TensorParts& tensor, const ModifyPart& modify, bool last) {
  return {
      TensorJob(tensor.name(), std::make_shared<PassedHandle<TensorParts>>(tensor, last)),
      tensor.num_experts(),
      tensor.elements(),
      tensor.dtype(),
      tensor.memory(),
      [tensor, modify, last](const TensorParts::Body& body) {
        tensor.for_each([&](const TensorJob& part) { body(modified_part(part, modify, last)); });
      }};
}

/// A whole tensor as parts, for what is measured.
inline TensorParts parts_of(const TensorJob& tensor) {
  const int64_t elements = tensor.experts.front().numel();
  return {tensor,
          tensor.experts.size(),
          elements,
          (tensor.base.defined() ? tensor.base : tensor.experts.front()).scalar_type(),
          {},
          [tensor, elements](const TensorParts::Body& body) {
            for (int64_t first = 0; first < elements; first += kPartElements) {
              TensorJob part = tensor;
              const auto cut = [&](const at::Tensor& whole) {
                return whole.flatten().narrow(0, first, std::min(kPartElements, elements - first));
              };
              part.offset = first;
              if (tensor.base.defined()) part.base = cut(tensor.base);
              for (at::Tensor& expert : part.experts) expert = cut(expert);
              body(part);
            }
          }};
}

class ModifiedJob final : public ModelJob {
 public:
  /// `modify` gives what modifies the parts of a tensor.
  ModifiedJob(const ModelJob& job, std::function<ModifyPart(const std::string& tensor)> modify,
              bool last)
      : job_(job), modify_(std::move(modify)), last_(last) {}
  size_t num_experts() const override { return job_.num_experts(); }
  const std::vector<std::string>& names() const override { return job_.names(); }
  TensorParts parts(const std::string& name) const override {
    return modified_parts(job_.parts(name), modify_(name), last_);
  }
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override {
    return modified_part(job_.tensor(name), modify_(name), last_);
  }
  const Evidence& evidence() const override { return job_.evidence(); }

 private:
  const ModelJob& job_;
  const std::function<ModifyPart(const std::string& tensor)> modify_;
  const bool last_;
};

}  // namespace assay::detail
