/// The predictor of a language model.
#pragma once

#include "harness/lm/evaluator.h"
#include "harness/model/predictor.h"

namespace assay {

class LanguagePredictor : public Predictor {
 public:
  explicit LanguagePredictor(
      const AnyLanguageModel& model,
      const std::shared_ptr<TokenCache>& tokens = std::make_shared<TokenCache>())
      : evaluator_(model, tokens) {}

  /// UserError: a language model has no classes.
  at::Tensor logits(const at::Tensor& inputs) const override;
  at::Device device() const override { return device_of(evaluator_.model()); }
  std::string what() const override;
  /// Its answers are memoized.
  LanguageEvaluator& evaluator() const { return evaluator_; }

 private:
  mutable LanguageEvaluator evaluator_;
};

/// The predictor as a language model; null when it is not one.
const LanguagePredictor* as_language_model(const Predictor& predictor);

}  // namespace assay
