/// What the results of a method are held to.
#pragma once

#include "harness/kernels/dtype/convert.h"
#include "harness/merge/request/roles.h"
#include "tests/catch.h"
#include "tests/conformance/models.h"

namespace assay::testing {

/// Every result has the tensors that the method plans, by default its inputs', and finite numbers.
inline void check_planned(const std::string& ref, const MergeInputs& inputs,
                          const Results& results) {
  const Output output = entry_of(ref).info.needs.output;
  const auto plan = plan_of(*make_method(ref, JsonReader(Json::object(), "test")), inputs);
  CHECK(plan.has_value() ==
        (output != Output::kSameArchitecture && output != Output::kModelPerTask));
  CHECK(results.size() == (output == Output::kModelPerTask ? 1 + inputs.experts.size() : 1));
  for (const StateDict& merged : results) {
    size_t planned = 0;
    std::map<std::string, std::vector<int64_t>> other_shapes;
    if (plan)
      for (const OutputTensor& tensor : plan->tensors)
        if (tensor.shape) other_shapes[tensor.name] = *tensor.shape;
    for (const MergeSection& section : merge_sections({}, inputs, plan ? &*plan : nullptr)) {
      const TensorSource& reference = reference_source(section.inputs);
      for (const TensorInfo& info : reference.tensors()) {
        CAPTURE(info.name);
        ++planned;
        REQUIRE(merged.count(info.name) == 1);
        const at::Tensor& tensor = merged.at(info.name);
        const auto other = other_shapes.find(info.name);
        CHECK(tensor.sizes() ==
              at::IntArrayRef(other == other_shapes.end() ? info.shape : other->second));
        CHECK(tensor.scalar_type() == info.dtype);
        if (tensor_role(reference, info) == TensorRole::kCopied)
          CHECK(at::equal(tensor, reference.read(info.name)));
        else
          CHECK(count_nonfinite(tensor) == 0);
      }
    }
    CHECK(merged.size() == planned);
  }
}

/// MethodInfo::identity is about this many experts: two if the method takes them.
inline size_t identical_experts(const std::string& name) {
  const Needs& needs = entry_of(name).info.needs;
  return static_cast<size_t>(std::clamp(2, needs.min_experts, needs.max_experts));
}

/// Every result is this expert, up to rounding.
inline void check_expert(const TensorSource& expert, const Results& results) {
  for (const StateDict& merged : results)
    for (const auto& [tensor, value] : merged) {
      CAPTURE(tensor);
      const at::Tensor wanted = expert.read(tensor);
      if (!wanted.is_floating_point()) continue;
      CHECK(distance(value, wanted) <= tolerance(wanted.scalar_type()));
    }
}

}  // namespace assay::testing
