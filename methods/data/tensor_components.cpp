#include "methods/data/tensor_components.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/method/engine_handle.h"
#include "harness/method/some_tensors.h"

namespace assay {
namespace {

/// The engine of a whole tensor, for its parts, which have no place in the whole one's buffer.
class PartHandle final : public EngineHandle {
 public:
  explicit PartHandle(const TensorJob& whole) : whole_(whole) {}
  uint64_t expert_key(size_t expert) const override { return whole_.expert_key(expert); }
  void report(const std::string& name, double value) override { whole_.report(name, value); }
  const Evidence* evidence() const override { return &whole_.evidence(); }

 private:
  const TensorJob whole_;
};

at::Tensor by_parts(const Method& method, const TensorJob& job) {
  const int64_t elements = job.experts.front().numel();
  const auto handle = std::make_shared<PartHandle>(job);
  const auto visit = [&](const TensorParts::Body& body) {
    for (int64_t first = 0; first < elements; first += kPartElements) {
      const int64_t count = std::min(kPartElements, elements - first);
      const auto piece = [&](const at::Tensor& whole) {
        return whole.reshape({-1}).narrow(0, first, count);
      };
      TensorJob part(job.name, handle);
      part.offset = first;
      if (job.base.defined()) part.base = piece(job.base);
      for (const at::Tensor& expert : job.experts) part.experts.push_back(piece(expert));
      body(part);
    }
  };
  const at::Tensor& like = job.base.defined() ? job.base : job.experts.front();
  const std::any measured = method.measure(
      {TensorJob(job.name, handle), job.experts.size(), elements, like.scalar_type(), {}, visit});
  at::Tensor merged = at::empty({elements}, like.options().dtype(at::kFloat));
  visit([&](const TensorJob& part) {
    merged.narrow(0, part.offset, part.experts.front().numel()).copy_(method.merge(part, measured));
  });
  return merged.reshape(like.sizes());
}

}  // namespace

std::optional<std::string> component_conflict(std::string_view parameter,
                                              const MethodComponent& component) {
  const auto refuse = [&](const char* why) {
    return fmt::format(
        "parameter '{}' is {}, which {}: expected a method that merges tensor by tensor into one "
        "model of the same shape",
        parameter, component->info().name, why);
  };
  if (component->granularity() == Granularity::kModel) return refuse("merges whole models");
  if (component->needs().output != Output::kSameArchitecture) return refuse("makes other models");
  return std::nullopt;
}

void prepare_component(MethodComponent& component, const ModelJob& job,
                       const std::function<bool(const std::string& tensor)>& is_own) {
  component->prepare(SomeTensors(job, is_own));
}

at::Tensor merge_by(const MethodComponent& component, const TensorJob& job) {
  return component->granularity() == Granularity::kParts ? by_parts(*component, job)
                                                         : component->merge(job, {});
}

}  // namespace assay
