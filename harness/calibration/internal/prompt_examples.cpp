#include <ATen/ATen.h>

#include <algorithm>

#include "harness/calibration/internal/examples.h"
#include "harness/core/error.h"

namespace assay {
namespace {

/// Texts that are read whole; the scores are of what follows each.
class PromptExamples final : public CalibrationExamples {
 public:
  explicit PromptExamples(std::vector<TokenIds> prompts) : prompts_(std::move(prompts)) {}

  int64_t size() const override { return static_cast<int64_t>(prompts_.size()); }
  ModelBatch batch(std::span<const int64_t> places) const override {
    const auto count = static_cast<int64_t>(places.size());
    int64_t longest = 0;
    for (const int64_t place : places) longest = std::max(longest, tokens(place));
    ModelBatch batch;
    batch.inputs = at::zeros({count, longest}, at::kLong);
    batch.mask = at::zeros({count, longest}, at::kBool);
    batch.scored = at::zeros({count, longest}, at::kBool);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t place = places[static_cast<size_t>(i)];
      const TokenIds& prompt = prompts_[static_cast<size_t>(place)];
      int64_t* row = batch.inputs.data_ptr<int64_t>() + i * longest;
      std::copy(prompt.begin(), prompt.end(), row);
      batch.mask[i].narrow(0, 0, tokens(place)).fill_(true);
      batch.scored[i][tokens(place) - 1] = true;
    }
    return batch;
  }
  at::Tensor targets(std::span<const int64_t> /*places*/) const override {
    user_error("true answers are asked for, and prompts have none: give tasks for calibration");
  }
  int64_t tokens(int64_t index) const override {
    return static_cast<int64_t>(prompts_[static_cast<size_t>(index)].size());
  }
  ExampleLength length(int64_t index) const override { return {.inputs = tokens(index)}; }
  int64_t bytes() const override {
    int64_t total = 0;
    for (const TokenIds& prompt : prompts_)
      total += static_cast<int64_t>(prompt.size() * sizeof(TokenId));
    return total;
  }

 private:
  std::vector<TokenIds> prompts_;
};

}  // namespace

std::unique_ptr<const CalibrationExamples> prompt_examples(
    const Computation& model, const std::vector<std::string>& prompts) {
  const auto* decoder = dynamic_cast<const LanguageArchitecture*>(model.architecture.get());
  if (!decoder || !model.tokenizer)
    user_error("prompts are texts for a decoder with a tokenizer, and the model is none");
  const auto bos = model.tokenizer->bos();
  std::vector<TokenIds> all;
  for (const std::string& prompt : prompts) {
    // As mergekit-moe has it: the token's text is part of the prompt.
    const std::string text =
        bos ? fmt::format("{}{}", model.tokenizer->token(*bos), prompt) : prompt;
    TokenIds ids = model.tokenizer->encode(text, /*special=*/false);
    const auto count = static_cast<int64_t>(ids.size());
    if (count == 0 || count > decoder->max_positions())
      user_error("the prompt '{}' has {} tokens, and the model reads from 1 to {}", prompt, count,
                 decoder->max_positions());
    all.push_back(std::move(ids));
  }
  return std::make_unique<PromptExamples>(std::move(all));
}

}  // namespace assay
