#include "methods/data/tensor_components.h"

#include <ATen/ATen.h>

#include "harness/method/some_tensors.h"
#include "methods/inner_merge.h"

namespace assay {
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
  return component->granularity() == Granularity::kParts
             ? merge_inner(*component, job, job.base, job.experts)
             : component->merge(job, {});
}

}  // namespace assay
