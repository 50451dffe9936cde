#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/lm/encoded_texts.h"
#include "harness/lm/masking.h"
#include "harness/model/forward.h"
#include "harness/train/internal/training_data.h"

namespace assay {
namespace {

/// The text of an item: of a task for encoders, or the one whose perplexity a decoder is asked for.
const std::string& text_to_mask(const ItemRequests& item, const std::string& task) {
  if (!item.texts.empty()) return item.texts.front();
  if (item.requests.rolling.empty())
    user_error("the task '{}' has no texts, of which the loss 'masked' hides tokens", task);
  return item.requests.rolling.front().text;
}

class MaskedTrainingData final : public TrainingData {
 public:
  MaskedTrainingData(const CheckpointRecipe& recipe, const Tokenizer& tokenizer, int64_t vocabulary)
      : mask_(mask_id(tokenizer)), vocabulary_(vocabulary), seed_(recipe.seed) {}

  /// Windows of at most `max_tokens`, special tokens included, which share no token.
  void add(const Tokenizer& tokenizer, const std::string& text, int64_t max_tokens,
           const std::string& where) {
    const InputTemplate& around = tokenizer.input_template(false);
    const TokenIds all = tokenizer.encode(text, false);
    check_vocabulary(all, tokenizer, vocabulary_, where);
    const auto special = static_cast<int64_t>(around.apply({}, {}, max_tokens).ids.size());
    if (special >= max_tokens)
      user_error("{}: {} tokens are no more than the special ones around a text", where,
                 max_tokens);
    const auto count = static_cast<int64_t>(all.size());
    for (int64_t first = 0; first < count; first += max_tokens - special) {
      const TokenIds window(all.begin() + first,
                            all.begin() + std::min(first + max_tokens - special, count));
      TokenizedInput input = around.apply(window, {}, max_tokens);
      spans_.push_back(text_span(tokenizer, input));
      ids_.push_back(input.ids);
      texts_.add(std::move(input), std::nullopt);
    }
  }
  void set_items(std::vector<int64_t> counts) { items_ = std::move(counts); }

  int64_t size() const override { return texts_.size(); }
  Rows rows(const Architecture& architecture, const StateDict& weights,
            std::span<const int64_t> places, std::optional<int64_t> step) const override {
    ModelBatch batch = texts_.batch(places);
    batch.scored = at::zeros_like(batch.inputs, at::kBool);
    std::vector<int64_t> targets;
    for (size_t row = 0; row < places.size(); ++row) {
      const auto text = static_cast<size_t>(places[row]);
      const int64_t start = static_cast<int64_t>(row) * batch.inputs.size(1);
      Rng rng(seed_, step ? fmt::format("masked tokens of text {} in step {}", text, *step)
                          : fmt::format("masked tokens of text {}", text));
      for (const MaskedToken& token :
           draw_masked(ids_[text], spans_[text], mask_, vocabulary_, rng)) {
        batch.inputs.data_ptr<int64_t>()[start + token.place] = token.read;
        batch.scored.data_ptr<bool>()[start + token.place] = true;
        targets.push_back(ids_[text][static_cast<size_t>(token.place)]);
      }
    }
    return {class_logits(architecture, weights, batch), at::tensor(targets, at::kLong)};
  }
  int64_t row_count(std::span<const int64_t> places) const override {
    int64_t total = 0;
    for (const int64_t place : places)
      total += masked_count(spans_[static_cast<size_t>(place)].count);
    return total;
  }
  int64_t tokens(std::span<const int64_t> places) const override {
    int64_t total = 0;
    for (const int64_t place : places) total += texts_.tokens(place);
    return total;
  }
  ExampleLength length(int64_t place) const override { return texts_.length(place); }

 private:
  TokenId mask_;
  int64_t vocabulary_;
  uint64_t seed_;
  EncoderTexts texts_;
  std::vector<TokenIds> ids_;  ///< of each text, as it is
  std::vector<TextSpan> spans_;
};

}  // namespace

std::unique_ptr<const TrainingData> masked_data(const Recipe& file, const CheckpointRecipe& recipe,
                                                const EncoderArchitecture& model, Split split,
                                                int64_t items_per_task, const std::string& where) {
  const Tokenizer& tokenizer = *file.tokenizer();
  auto data = std::make_unique<MaskedTrainingData>(recipe, tokenizer, model.vocabulary());
  const int64_t longest = max_input_tokens(model, tokenizer);
  const int64_t max_tokens = recipe.max_tokens > 0 ? std::min(recipe.max_tokens, longest) : longest;
  data->set_items(for_each_item(
      recipe, split, items_per_task, where, [&](const ItemRequests& item, const std::string& task) {
        data->add(tokenizer, text_to_mask(item, task), max_tokens, item.where);
      }));
  return data;
}

}  // namespace assay
