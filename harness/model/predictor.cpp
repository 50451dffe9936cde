#include "harness/model/predictor.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/core/cost.h"

namespace assay {

ModelPredictor::ModelPredictor(std::shared_ptr<const Architecture> architecture, StateDict weights,
                               at::Device device)
    : architecture_(std::move(architecture)), weights_(std::move(weights)), device_(device) {
  ASSAY_CHECK(!weights_.empty(), "a model without weights");
  for (auto& [unused, tensor] : weights_) tensor = tensor.to(device_);
}

at::Tensor ModelPredictor::logits(const at::Tensor& inputs) const {
  const c10::NoGradGuard no_gradients;
  counters::examples += inputs.size(0);
  const at::ScalarType dtype = weights_.begin()->second.scalar_type();
  return architecture_->logits(weights_, inputs.to(device_, dtype)).to(at::kFloat);
}

std::string ModelPredictor::what() const {
  return architecture_->config().at("model_type").get<std::string>();
}

EnsemblePredictor::EnsemblePredictor(std::vector<std::shared_ptr<const Predictor>> members)
    : members_(std::move(members)) {
  ASSAY_CHECK(!members_.empty(), "an ensemble without members");
}

at::Tensor EnsemblePredictor::logits(const at::Tensor& inputs) const {
  at::Tensor sum = members_.front()->logits(inputs);
  for (size_t i = 1; i < members_.size(); ++i) sum.add_(members_[i]->logits(inputs));
  return sum.div_(static_cast<double>(members_.size()));
}

}  // namespace assay
