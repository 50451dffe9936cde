#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/lm/encoded_texts.h"
#include "harness/model/forward.h"
#include "harness/train/internal/span_corruption.h"
#include "harness/train/internal/training_data.h"

namespace assay {
namespace {

class TextTrainingData final : public TrainingData {
 public:
  TextTrainingData(std::unique_ptr<const EncodedTexts> texts, std::vector<int64_t> items)
      : texts_(std::move(texts)) {
    items_ = std::move(items);
  }

  int64_t size() const override { return texts_->size(); }
  Rows rows(const Architecture& architecture, const StateDict& weights,
            std::span<const int64_t> places, std::optional<int64_t> /*step*/) const override {
    return {class_logits(architecture, weights, texts_->batch(places)), texts_->targets(places)};
  }
  int64_t row_count(std::span<const int64_t> places) const override {
    return texts_->targets(places).size(0);
  }
  int64_t tokens(std::span<const int64_t> places) const override {
    int64_t total = 0;
    for (const int64_t place : places) total += texts_->tokens(place);
    return total;
  }
  ExampleLength length(int64_t place) const override { return texts_->length(place); }

 private:
  std::unique_ptr<const EncodedTexts> texts_;
};

/// Tokenizes items for models that generate text: answers after their prompts, or whole texts in
/// windows.
class GeneratorItems {
 public:
  GeneratorItems(const CheckpointRecipe& recipe, const TextEncoder& encoder,
                 const Tokenizer& tokenizer, const SequenceToSequenceArchitecture* both)
      : recipe_(recipe),
        encoder_(encoder),
        tokenizer_(tokenizer),
        vocabulary_(both ? both->vocabulary() : 0),
        is_encoder_decoder_(both != nullptr),
        max_tokens_(recipe.max_tokens > 0 ? std::min(recipe.max_tokens, encoder.max_length())
                                          : encoder.max_length()),
        texts_(std::make_unique<GeneratorTexts>(both ? std::optional(both->start_id())
                                                     : std::nullopt)) {}

  void add(const ItemRequests& item, const std::string& task) {
    if (recipe_.loss == "spans") return add_corrupted(item, task);
    if (item.solution) {
      ScoredSequence sequence =
          cut_sequence(encoder_.pair(*item.solution), max_tokens_, is_encoder_decoder_);
      if (recipe_.loss != "answers" && !is_encoder_decoder_) sequence.first = 1;
      texts_->add(std::move(sequence));
      return;
    }
    if (item.requests.rolling.empty())
      user_error("the task '{}' has neither answers nor texts to train on", task);
    if (recipe_.loss == "answers")
      user_error("the task '{}' has texts without answers, and the loss is over answers", task);
    RollingRequest request = item.requests.rolling.front();
    request.window = max_tokens_;
    for (ScoredSequence& window : encoder_.windows(request)) texts_->add(std::move(window));
  }
  std::unique_ptr<const EncodedTexts> take() { return std::move(texts_); }

 private:
  void add_corrupted(const ItemRequests& item, const std::string& task) {
    if (item.requests.rolling.empty())
      user_error("the task '{}' has no texts, of which the loss 'spans' removes parts", task);
    const TokenIds sentinels = sentinels_of(tokenizer_);
    const TokenIds all = tokenizer_.encode(item.requests.rolling.front().text, false);
    check_vocabulary(all, tokenizer_, vocabulary_, item.where);
    check_vocabulary(sentinels, tokenizer_, vocabulary_, "the tokenizer");
    // Sentinels are no more than what they stand for, so that a window fits with the end token.
    const auto window = static_cast<size_t>(max_tokens_ - 1);
    for (size_t first = 0; first + 1 < all.size(); first += window) {
      const TokenIds tokens(
          all.begin() + static_cast<int64_t>(first),
          all.begin() + static_cast<int64_t>(std::min(first + window, all.size())));
      if (tokens.size() < 2) break;
      const int64_t spans = span_count(static_cast<int64_t>(tokens.size()));
      if (spans > static_cast<int64_t>(sentinels.size()))
        user_error(
            "{}: {} spans would be removed from {} tokens, and the tokenizer has {} sentinels "
            "(<extra_id_0> ...); a smaller 'max_tokens' needs fewer",
            item.where, spans, tokens.size(), sentinels.size());
      Rng rng(recipe_.seed, fmt::format("spans of {}, {}", task, texts_->size()));
      texts_->add(corrupt_spans(tokens, sentinels, tokenizer_.eos(), rng));
    }
  }

  const CheckpointRecipe& recipe_;
  const TextEncoder& encoder_;
  const Tokenizer& tokenizer_;
  int64_t vocabulary_;
  bool is_encoder_decoder_;
  int64_t max_tokens_;
  std::unique_ptr<GeneratorTexts> texts_;
};

void add_encoder_item(EncoderTexts& texts, const EncoderArchitecture& model,
                      const Tokenizer& tokenizer, TokenCache& tokens, const ItemRequests& item,
                      const std::string& task, int64_t max_tokens) {
  if (item.texts.empty() || !item.label)
    user_error("the task '{}' has no texts of known classes, which an encoder is trained on", task);
  if (*item.label >= model.classes())
    user_error("the task '{}' has the class {}, but the model has {} classes", task, *item.label,
               model.classes());
  texts.add(encode_input(model, tokenizer, tokens, item.texts.front(),
                         item.texts.size() > 1 ? &item.texts[1] : nullptr, max_tokens, item.where),
            item.label);
}

}  // namespace

std::vector<int64_t> for_each_item(
    const CheckpointRecipe& recipe, Split split, int64_t items_per_task, const std::string& where,
    const std::function<void(const ItemRequests& item, const std::string& task)>& add) {
  std::vector<int64_t> counts;
  for (const MixturePart& part : recipe.mixture) {
    const auto task = load_task(part.task, where, part.changes);
    const std::vector<ItemRequests> items = task->item_requests(split);
    const auto drawn =
        drawn_items(recipe, part, split, static_cast<int64_t>(items.size()), items_per_task, where);
    for (const int64_t item : drawn) add(items[static_cast<size_t>(item)], part.task);
    counts.push_back(static_cast<int64_t>(drawn.size()));
  }
  return counts;
}

std::unique_ptr<const TrainingData> text_data(const Recipe& file, const CheckpointRecipe& recipe,
                                              Split split, int64_t items_per_task,
                                              const std::string& where) {
  const std::shared_ptr<const Architecture> any =
      make_architecture(JsonReader(file.architecture(), where));
  const auto encoder = std::dynamic_pointer_cast<const EncoderArchitecture>(any);
  const auto both = std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(any);
  const auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(any);
  const auto routed = std::dynamic_pointer_cast<const RoutedArchitecture>(any);

  if (encoder && recipe.loss == "masked")
    return masked_data(file, recipe, *encoder, split, items_per_task, where);

  std::vector<int64_t> counts;
  const auto for_each = [&](const auto& add) {
    counts = for_each_item(recipe, split, items_per_task, where, add);
  };
  const auto tokens = std::make_shared<TokenCache>();
  std::unique_ptr<const EncodedTexts> texts;
  if (encoder) {
    auto inputs = std::make_unique<EncoderTexts>();
    const int64_t longest = max_input_tokens(*encoder, *file.tokenizer());
    const int64_t max_tokens =
        recipe.max_tokens > 0 ? std::min(recipe.max_tokens, longest) : longest;
    for_each([&](const ItemRequests& item, const std::string& task) {
      add_encoder_item(*inputs, *encoder, *file.tokenizer(), *tokens, item, task, max_tokens);
    });
    texts = std::move(inputs);
  } else {
    const TextEncoder text_encoder =
        both
            ? TextEncoder(SequenceToSequenceModel{both, {}, at::kCPU, file.tokenizer(), {}}, tokens)
        : routed ? TextEncoder(RoutedModel{routed, {}, at::kCPU, file.tokenizer(), {}}, tokens)
                 : TextEncoder(LanguageModel{decoder, {}, at::kCPU, file.tokenizer(), {}}, tokens);
    GeneratorItems items(recipe, text_encoder, *file.tokenizer(), both.get());
    for_each([&](const ItemRequests& item, const std::string& task) { items.add(item, task); });
    texts = items.take();
  }
  return std::make_unique<TextTrainingData>(std::move(texts), std::move(counts));
}

}  // namespace assay
