/// What a method that changes a job gives to the one that works on it.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "harness/method/engine_handle.h"
#include "harness/method/job.h"

namespace assay {

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

/// A whole tensor as parts.
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

}  // namespace assay
