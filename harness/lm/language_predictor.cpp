#include "harness/lm/language_predictor.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"

namespace assay {

at::Tensor LanguagePredictor::logits(const at::Tensor&) const {
  user_error("a language model cannot be scored on a task that classifies inputs");
}

const LanguagePredictor* as_language_model(const Predictor& predictor) {
  return dynamic_cast<const LanguagePredictor*>(&predictor);
}

}  // namespace assay
