#include "harness/method/output_plan.h"

namespace assay {

OutputPlan same_tensors(const PlanInputs& models) {
  OutputPlan plan{models.config, {}};
  const TensorSource& reference = models.base ? *models.base : *models.experts.front();
  for (const TensorInfo& info : reference.tensors()) {
    OutputTensor& tensor = plan.tensors.emplace_back();
    tensor.name = info.name;
    for (size_t i = 0; i < models.experts.size(); ++i)
      tensor.experts.push_back({.model = i, .tensor = info.name});
    if (models.base) tensor.base = {.model = TensorView::kBase, .tensor = info.name};
  }
  return plan;
}

}  // namespace assay
