#include "methods/inner_merge.h"

#include <ATen/ATen.h>

#include <memory>
#include <utility>

#include "harness/method/passed_handle.h"

namespace assay {
TensorJob inner_job(const TensorJob& job, at::Tensor base, std::vector<at::Tensor> experts) {
  TensorJob inner(job.name, std::make_shared<PassedHandle<TensorJob>>(job, /*last=*/false));
  inner.base = std::move(base);
  inner.experts = std::move(experts);
  inner.offset = job.offset;
  return inner;
}

TensorParts inner_parts(const TensorJob& job, const at::Tensor& base,
                        const std::vector<at::Tensor>& experts) {
  return parts_of(inner_job(job, base, experts));
}

TensorParts inner_parts(const TensorParts& tensor) {
  return {TensorJob(tensor.name(), std::make_shared<PassedHandle<TensorParts>>(tensor, false)),
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
  const at::Tensor& like = base.defined() ? base : experts.front();
  return merged.empty() ? like : at::cat(merged).reshape(like.sizes());
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

std::optional<std::string> form_conflict(const std::string& parameter, const Method& method) {
  const Output output = method.needs().output;
  if (output == Output::kSameArchitecture) return std::nullopt;
  return fmt::format(
      "parameter '{}' is {}, which gives another form of model ({}): expected a method that gives "
      "one model of the inputs' shape",
      parameter, method.info().name, output_name(output));
}

}  // namespace assay
