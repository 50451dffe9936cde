#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "harness/calibration/internal/examples.h"
#include "harness/core/error.h"

namespace assay {
namespace {

class TextExamples final : public CalibrationExamples {
 public:
  explicit TextExamples(std::unique_ptr<const EncodedTexts> texts) : texts_(std::move(texts)) {}
  int64_t size() const override { return texts_->size(); }
  ModelBatch batch(std::span<const int64_t> places) const override { return texts_->batch(places); }
  at::Tensor targets(std::span<const int64_t> places) const override {
    return texts_->targets(places);
  }
  int64_t tokens(int64_t index) const override { return texts_->tokens(index); }
  ExampleLength length(int64_t index) const override { return texts_->length(index); }
  int64_t bytes() const override { return texts_->bytes(); }

 private:
  std::unique_ptr<const EncodedTexts> texts_;
};

/// Cuts sequences to so many tokens per input of a model, and counts those that it cut.
class Cutter {
 public:
  Cutter(int64_t max_tokens, bool is_encoder_decoder)
      : max_(max_tokens), is_encoder_decoder_(is_encoder_decoder) {}

  ScoredSequence cut(const ScoredSequence& sequence) {
    ScoredSequence shorter = cut_sequence(sequence, max_, is_encoder_decoder_);
    count(shorter.tokens.size() < sequence.tokens.size() || sequence.dropped > 0);
    return shorter;
  }
  void count(bool is_cut) { cut_ += is_cut ? 1 : 0; }
  int64_t cut_texts() const { return cut_; }

 private:
  int64_t max_;
  bool is_encoder_decoder_;
  int64_t cut_ = 0;
};

// The answer after its context, or the beginning of a text without one.
ScoredSequence scored_sequence(const TextEncoder& encoder, const ItemRequests& item,
                               const CalibrationSpec& spec, const Task& task, Cutter& cutter) {
  if (item.solution) return cutter.cut(encoder.pair(*item.solution));
  if (item.requests.rolling.empty())
    user_error(
        "the task '{}' has neither answers nor texts to score, which a model that generates "
        "text is calibrated on",
        task.name());
  RollingRequest request = item.requests.rolling.front();
  const int64_t window = request.window > 0 ? request.window : encoder.max_length();
  request.window = std::min(window, spec.max_tokens);
  std::vector<ScoredSequence> windows = encoder.windows(request);
  cutter.count(windows.size() > 1);
  return std::move(windows.front());
}

/// The items of tasks, each task's read once.
class Items {
 public:
  Items(const std::vector<std::shared_ptr<const Task>>& tasks, Split split) : tasks_(tasks) {
    for (const auto& task : tasks) items_.push_back(task->item_requests(split));
  }
  const ItemRequests& at(const DrawnExample& drawn) const {
    return items_[drawn.task][static_cast<size_t>(drawn.item)];
  }
  const Task& task(const DrawnExample& drawn) const { return *tasks_[drawn.task]; }

 private:
  const std::vector<std::shared_ptr<const Task>>& tasks_;
  std::vector<std::vector<ItemRequests>> items_;
};

std::unique_ptr<const EncodedTexts> encoder_texts(const EncoderArchitecture& model,
                                                  const Tokenizer& tokenizer, const Items& items,
                                                  const CalibrationSpec& spec,
                                                  const std::vector<DrawnExample>& drawn,
                                                  TokenCache& tokens, Cutter& cutter) {
  auto examples = std::make_unique<EncoderTexts>();
  const int64_t max_tokens = std::min(spec.max_tokens, max_input_tokens(model, tokenizer));
  for (const DrawnExample& one : drawn) {
    const ItemRequests& item = items.at(one);
    const Task& task = items.task(one);
    if (item.texts.empty())
      user_error("the task '{}' is for models that generate text, but the model is an encoder",
                 task.name());
    if (item.label && *item.label >= model.classes())
      user_error("the task '{}' has the class {}, but the model has {} classes", task.name(),
                 *item.label, model.classes());
    // A head reads two texts as one input. Without a head each is embedded alone: the first stands
    // for both.
    const bool is_pair = item.texts.size() > 1 && model.classes() > 0;
    TokenizedInput input = encode_input(model, tokenizer, tokens, item.texts.front(),
                                        is_pair ? &item.texts[1] : nullptr, max_tokens, item.where);
    cutter.count(input.dropped > 0);
    examples->add(std::move(input), item.label);
  }
  return examples;
}

}  // namespace

std::unique_ptr<const CalibrationExamples> text_examples(
    const Computation& model, const std::vector<std::shared_ptr<const Task>>& tasks,
    const CalibrationSpec& spec, const std::vector<DrawnExample>& drawn,
    const std::shared_ptr<TokenCache>& tokens, std::vector<std::string>& notes) {
  const Items items(tasks, spec.split);
  const auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(model.architecture);
  const auto both =
      std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(model.architecture);
  Cutter cutter(spec.max_tokens, both != nullptr);
  std::unique_ptr<const EncodedTexts> result;
  if (decoder || both) {
    const TextEncoder encoder =
        both ? TextEncoder(SequenceToSequenceModel{both, {}, at::kCPU, model.tokenizer, {}}, tokens)
             : TextEncoder(LanguageModel{decoder, {}, at::kCPU, model.tokenizer, {}}, tokens);
    auto examples =
        std::make_unique<GeneratorTexts>(both ? std::optional(both->start_id()) : std::nullopt);
    for (const DrawnExample& one : drawn)
      examples->add(scored_sequence(encoder, items.at(one), spec, items.task(one), cutter));
    result = std::move(examples);
  } else {
    const auto* encoder = dynamic_cast<const EncoderArchitecture*>(model.architecture.get());
    ASSAY_CHECK(encoder, "a model with a tokenizer and no text");
    result = encoder_texts(*encoder, *model.tokenizer, items, spec, drawn, *tokens, cutter);
  }
  if (cutter.cut_texts() > 0)
    notes.push_back(fmt::format(
        "{} of {} texts are longer than {} tokens, or than the model accepts, and were cut",
        cutter.cut_texts(), drawn.size(), spec.max_tokens));
  return std::make_unique<TextExamples>(std::move(result));
}

}  // namespace assay
