#include "methods/spectral/inner_merge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "harness/method/engine_handle.h"

namespace assay {
namespace {

/// Hands on to the engine of `Outer`, a TensorJob or a TensorParts.
template <typename Outer>
class PassedOn final : public EngineHandle {
 public:
  explicit PassedOn(const Outer& outer) : outer_(outer) {}
  uint64_t expert_key(size_t expert) const override { return outer_.expert_key(expert); }
  void report(const std::string& name, double value) override { outer_.report(name, value); }
  const Evidence* evidence() const override { return &outer_.evidence(); }

 private:
  const Outer outer_;
};

template <typename Outer>
TensorJob head_of(const std::string& name, const Outer& outer) {
  return TensorJob(name, std::make_shared<PassedOn<Outer>>(outer));
}

}  // namespace

TensorJob inner_job(const TensorJob& job, at::Tensor base, std::vector<at::Tensor> experts) {
  TensorJob inner = head_of(job.name, job);
  inner.base = std::move(base);
  inner.experts = std::move(experts);
  inner.offset = job.offset;
  return inner;
}

TensorParts inner_parts(const TensorJob& job, const at::Tensor& base,
                        const std::vector<at::Tensor>& experts) {
  const TensorJob head = head_of(job.name, job);
  return {head,
          experts.size(),
          base.numel(),
          base.scalar_type(),
          {},
          [head, base, experts](const TensorParts::Body& body) {
            TensorJob part = head;
            for (; part.offset < base.numel(); part.offset += kPartElements) {
              const int64_t count = std::min(kPartElements, base.numel() - part.offset);
              part.base = base.flatten().narrow(0, part.offset, count);
              part.experts.clear();
              for (const at::Tensor& expert : experts)
                part.experts.push_back(expert.flatten().narrow(0, part.offset, count));
              body(part);
            }
          }};
}

TensorParts inner_parts(const TensorParts& tensor) {
  return {head_of(tensor.name(), tensor),
          tensor.num_experts(),
          tensor.elements(),
          tensor.dtype(),
          tensor.memory(),
          [tensor](const TensorParts::Body& body) {
            tensor.for_each(
                [&](const TensorJob& part) { body(inner_job(part, part.base, part.experts)); });
          }};
}

at::Tensor merge_inner(const Method& method, const TensorJob& job, const at::Tensor& base,
                       const std::vector<at::Tensor>& experts) {
  if (method.granularity() == Granularity::kTensors)
    return method.merge(inner_job(job, base, experts), {});
  const TensorParts tensor = inner_parts(job, base, experts);
  const std::any measured = method.measure(tensor);
  std::vector<at::Tensor> merged;
  tensor.for_each([&](const TensorJob& part) {
    merged.push_back(method.merge(part, measured).flatten().to(at::kFloat));
  });
  return merged.empty() ? base : at::cat(merged).reshape(base.sizes());
}

std::optional<std::string> inner_conflict(const Method& of) {
  const Needs needs = of.needs();
  if (!needs.base)
    return fmt::format(
        "parameter 'of' is {}, which merges no task vectors: expected a method that needs a base",
        of.info().name);
  if (of.granularity() == Granularity::kModel || needs.output != Output::kSameArchitecture)
    return fmt::format(
        "parameter 'of' is {}, which does not merge one tensor at a time into one model: expected "
        "one that does, such as task_arithmetic or ties",
        of.info().name);
  return std::nullopt;
}

}  // namespace assay
