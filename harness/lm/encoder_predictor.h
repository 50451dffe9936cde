/// Predictors of encoders: classification of texts, similarity of pairs of texts, masked tokens.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/lm/internal/response_cache.h"
#include "harness/lm/token_cache.h"
#include "harness/model/encoder.h"
#include "harness/model/predictor.h"

namespace assay {

/// One text, or a pair of texts.
struct EncoderText {
  std::string first;
  std::optional<std::string> second{};
  std::string where{};  ///< the item it belongs to, for messages
};

class EncoderPredictor : public Predictor {
 public:
  /// 0 without a head for classification.
  virtual int64_t classes() const = 0;
  /// From "id2label" of config.json; empty without it.
  virtual std::vector<std::string> class_names() const = 0;
  /// Float32 [texts, classes] on the CPU, in the order of the texts; a pair is one
  /// input. UserError without a head; DataError naming a text's `where` when it has no tokens or
  /// one outside the model's vocabulary.
  virtual at::Tensor classify(const std::vector<EncoderText>& texts) const = 0;
  /// Cosine similarity of each pair's embeddings, which are computed separately
  /// (EncoderArchitecture::embed). Float64 [texts] on the CPU, rounded to float32: equal texts
  /// have 1.
  virtual at::Tensor similarities(const std::vector<EncoderText>& pairs) const = 0;
  /// Of each text the log-likelihood of every token of its own, in order, when a mask stands in
  /// that token's place and all others are read (Salazar et al., arXiv:1910.14659). UserError
  /// without a head for masked tokens; DataError as classify().
  virtual std::vector<std::vector<double>> masked_log_likelihoods(
      const std::vector<EncoderText>& texts) const;
  /// For the diagnostics of a run: counts of inputs and tokens, and the truncation of long inputs.
  virtual Json report() const = 0;

  /// UserError: an encoder takes texts only.
  at::Tensor logits(const at::Tensor& inputs) const override;
};

/// One set of weights. Equal inputs go through the model once, and not at all when the response
/// cache holds the answer. Batches hold inputs of similar length and at most `batch_tokens` tokens,
/// fewer after the device ran out of memory; batching changes results only by rounding. Inputs
/// longer than model or tokenizer allow are truncated: see InputTemplate::apply().
class EncoderModelPredictor : public EncoderPredictor {
 public:
  /// Without `batch_tokens`: BatchLimits::of() the device.
  explicit EncoderModelPredictor(
      EncoderModel model, std::optional<int64_t> batch_tokens = {},
      std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());

  int64_t classes() const override { return model_.architecture->classes(); }
  std::vector<std::string> class_names() const override;
  at::Tensor classify(const std::vector<EncoderText>& texts) const override;
  at::Tensor similarities(const std::vector<EncoderText>& pairs) const override;
  /// Each text's embedding, float64 [texts, width] on the CPU.
  at::Tensor embeddings(const std::vector<EncoderText>& texts) const;
  std::vector<std::vector<double>> masked_log_likelihoods(
      const std::vector<EncoderText>& texts) const override;
  Json report() const override;
  at::Device device() const override { return model_.device; }
  std::string what() const override;

 private:
  struct Usage {
    int64_t inputs = 0, tokens = 0;             // computed by the model
    int64_t cached = 0;                         // answers from the response cache
    int64_t truncated = 0, dropped_tokens = 0;  // counted over all inputs
  };
  /// A requested answer: the indices of its inputs in a BatchedInputs, and the item for messages.
  struct Query {
    std::vector<int64_t> inputs;
    const std::string* where;
  };
  class BatchedInputs;
  using OutputFunction =
      std::function<at::Tensor(const at::Tensor& rows, const std::vector<Query>&)>;
  using BatchFunction = std::function<at::Tensor(const EncoderBatch& batch)>;  // [rows, values]
  int64_t max_tokens() const;
  /// Float64 [texts, values]: what `outputs` gives of each text or pair, an answer of that kind.
  at::Tensor rows_of_texts(const std::string& kind, const std::vector<EncoderText>& texts,
                           const BatchFunction& outputs) const;
  /// int64 [queries]: the input number `which` of each query.
  static at::Tensor inputs_of(const std::vector<Query>& queries, size_t which);
  /// Float64 [queries, values]: cached answers, and those that `output` computes from the inputs'
  /// rows.
  at::Tensor answers(const BatchedInputs& batched, const std::string& kind,
                     const std::vector<Query>& queries, const OutputFunction& output) const;

  EncoderModel model_;
  mutable int64_t batch_tokens_;
  std::shared_ptr<TokenCache> tokens_;
  mutable Usage usage_;
  mutable ResponseCache cache_;
};

/// The output ensemble: the members' class scores by a rule, and the mean of their similarities.
class EncoderEnsemble : public EncoderPredictor {
 public:
  /// DataError when the members differ in the number of their classes.
  explicit EncoderEnsemble(std::vector<std::shared_ptr<const EncoderPredictor>> members,
                           EnsembleRule rule = EnsembleRule::kUsual);

  int64_t classes() const override { return members_.front()->classes(); }
  std::vector<std::string> class_names() const override { return members_.front()->class_names(); }
  at::Tensor classify(const std::vector<EncoderText>& texts) const override;
  /// UserError where the rule is votes: similarities are no classes.
  at::Tensor similarities(const std::vector<EncoderText>& pairs) const override;
  /// Of the mean of the members' probabilities, as of other language models. UserError for another
  /// rule.
  std::vector<std::vector<double>> masked_log_likelihoods(
      const std::vector<EncoderText>& texts) const override;
  /// One per member.
  Json report() const override;
  at::Device device() const override { return members_.front()->device(); }
  std::string what() const override { return members_.front()->what(); }

 private:
  std::vector<std::shared_ptr<const EncoderPredictor>> members_;
  EnsembleRule rule_;
};

/// The predictor as an encoder; null when it is not an encoder.
const EncoderPredictor* as_encoder(const Predictor& predictor);

}  // namespace assay
