#include "harness/lm/language_predictor.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"

namespace assay {

LanguagePredictor::LanguagePredictor(LanguageModel model)
    : model_(std::move(model)), evaluator_(model_) {}

LanguagePredictor::LanguagePredictor(LanguageModel model, BatchLimits limits)
    : model_(std::move(model)), evaluator_(model_, limits) {}

at::Tensor LanguagePredictor::logits(const at::Tensor&) const {
  user_error("a language model cannot be scored on a task that classifies inputs");
}

std::string LanguagePredictor::what() const {
  return model_.architecture->config().at("model_type").get<std::string>() +
         ", a decoder-only language model";
}

const LanguagePredictor* as_language_model(const Predictor& predictor) {
  return dynamic_cast<const LanguagePredictor*>(&predictor);
}

}  // namespace assay
