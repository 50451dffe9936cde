#include "harness/lm/language_predictor.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"

namespace assay {

at::Tensor LanguagePredictor::logits(const at::Tensor&) const {
  user_error("a language model cannot be scored on a task that classifies inputs");
}

std::string LanguagePredictor::what() const {
  const AnyLanguageModel& model = evaluator_.model();
  const char* kind = std::holds_alternative<LanguageModel>(model) ? "a decoder-only language model"
                     : std::holds_alternative<RoutedModel>(model) ? "decoders that a router chooses"
                                                                  : "an encoder-decoder";
  return std::visit(
      [&](const auto& one) {
        return fmt::format("{}, {}",
                           one.architecture->config().at("model_type").template get<std::string>(),
                           kind);
      },
      model);
}

const LanguagePredictor* as_language_model(const Predictor& predictor) {
  return dynamic_cast<const LanguagePredictor*>(&predictor);
}

}  // namespace assay
