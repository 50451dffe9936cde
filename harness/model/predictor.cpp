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

EnsemblePredictor::EnsemblePredictor(std::vector<std::shared_ptr<const Predictor>> members,
                                     EnsembleRule rule)
    : members_(std::move(members)), rule_(rule) {
  ASSAY_CHECK(!members_.empty(), "an ensemble without members");
}

at::Tensor EnsemblePredictor::logits(const at::Tensor& inputs) const {
  return scores(inputs, [](const at::Tensor& outputs) { return outputs; });
}

at::Tensor EnsemblePredictor::scores(const at::Tensor& inputs, const Head& head) const {
  std::vector<at::Tensor> scores;
  scores.reserve(members_.size());
  for (const auto& member : members_) scores.push_back(member->scores(inputs, head));
  return combined_logits(rule_, scores);
}

}  // namespace assay
