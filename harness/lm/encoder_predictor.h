/// Encoders as what tasks evaluate: they classify texts and say how alike two are.
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

/// One text, or two that belong together.
struct EncoderText {
  std::string first;
  std::optional<std::string> second{};
  std::string where{};  ///< the item it belongs to, for messages
};

class EncoderPredictor : public Predictor {
 public:
  /// 0 without a head for classification.
  virtual int64_t classes() const = 0;
  /// As config.json's "id2label" calls them; empty where it says nothing.
  virtual std::vector<std::string> class_names() const = 0;
  /// Float32 [texts, classes] on the CPU, in the order of the texts; two texts are read as one
  /// input. UserError without a head; DataError naming a text's `where` when it has no tokens or
  /// one outside the model's vocabulary.
  virtual at::Tensor classify(const std::vector<EncoderText>& texts) const = 0;
  /// Of every two texts, read apart, the cosine of the angle between their embeddings, which are
  /// the means of their last states. Float64 [texts] on the CPU, rounded to float32: equal texts
  /// are alike by 1.
  virtual at::Tensor similarities(const std::vector<EncoderText>& pairs) const = 0;
  /// For the diagnostics of a run: how much was read, and how long inputs were treated.
  virtual Json report() const = 0;

  /// UserError: an encoder takes texts only.
  at::Tensor logits(const at::Tensor& inputs) const override;
};

/// One set of weights. Equal inputs go through the model once, and none whose answers are kept: see
/// kept_answers(). Batches hold inputs of like length and at most `batch_tokens` tokens, fewer
/// where the device runs out of memory; results do not depend on them but for rounding. What is
/// longer than model or tokenizer allow is cut: see InputTemplate::apply().
class EncoderModelPredictor : public EncoderPredictor {
 public:
  /// Without `batch_tokens`, what suits the device.
  explicit EncoderModelPredictor(
      EncoderModel model, std::optional<int64_t> batch_tokens = {},
      std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>());

  int64_t classes() const override { return model_.architecture->classes(); }
  std::vector<std::string> class_names() const override;
  at::Tensor classify(const std::vector<EncoderText>& texts) const override;
  at::Tensor similarities(const std::vector<EncoderText>& pairs) const override;
  Json report() const override;
  at::Device device() const override { return model_.device; }
  std::string what() const override;

 private:
  struct Use {
    int64_t inputs = 0, tokens = 0;             // that went through the model
    int64_t known = 0;                          // answers that were kept from before
    int64_t shortened = 0, dropped_tokens = 0;  // of all inputs
  };
  /// An answer that is wanted: to which inputs of a Reader, and for which item.
  struct Question {
    std::vector<int64_t> inputs;
    const std::string* where;
  };
  class Reader;
  using Work = std::function<at::Tensor(const at::Tensor& rows, const std::vector<Question>&)>;
  int64_t max_tokens() const;
  /// int64 [questions]: of each the input of this number.
  static at::Tensor inputs_of(const std::vector<Question>& questions, size_t which);
  /// Float64 [questions, numbers]: kept answers, and what `work` makes of the inputs' rows for the
  /// others.
  at::Tensor answers(const Reader& reader, const std::string& kind,
                     const std::vector<Question>& questions, const Work& work) const;

  EncoderModel model_;
  mutable int64_t batch_tokens_;
  std::shared_ptr<TokenCache> tokens_;
  mutable Use use_;
  mutable ResponseCache cache_;
};

/// The output ensemble: the mean of the members' class scores, and of their similarities.
class EncoderEnsemble : public EncoderPredictor {
 public:
  /// DataError when the members differ in their number of classes.
  explicit EncoderEnsemble(std::vector<std::shared_ptr<const EncoderPredictor>> members);

  int64_t classes() const override { return members_.front()->classes(); }
  std::vector<std::string> class_names() const override { return members_.front()->class_names(); }
  at::Tensor classify(const std::vector<EncoderText>& texts) const override;
  at::Tensor similarities(const std::vector<EncoderText>& pairs) const override;
  /// One per member.
  Json report() const override;
  at::Device device() const override { return members_.front()->device(); }
  std::string what() const override { return members_.front()->what(); }

 private:
  std::vector<std::shared_ptr<const EncoderPredictor>> members_;
};

/// The predictor as an encoder; null when it is none.
const EncoderPredictor* as_encoder(const Predictor& predictor);

}  // namespace assay
