/// Models whose rotary angles depend on the length of the whole text.
#include <ATen/ATen.h>

#include "harness/lm/internal/generation.h"
#include "tests/lm/fake_language_model.h"
#include "tests/model/language_models.h"

using namespace assay;

namespace {

/// Long angles from 9 tokens on (LongRoPE).
LanguageModel long_rope() {
  LanguageModel model = open_language_model(kGoldens / "phi3", {});
  model.tokenizer = std::make_shared<CharacterTokenizer>();
  return model;
}

/// Different angles for every length above 8 (dynamic NTK).
LanguageModel dynamic() {
  Json config = example_config("llama");
  config["vocab_size"] = 32;
  config["hidden_size"] = 16;
  config["num_attention_heads"] = 2;
  config["num_key_value_heads"] = 2;
  config["max_position_embeddings"] = 8;
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 4.0}};
  LanguageModel model{language(config), {}, at::kCPU, std::make_shared<CharacterTokenizer>(), ""};
  model.weights = model.architecture->initial_weights(3);
  for (auto& [name, tensor] : model.weights)
    if (tensor.dim() > 1) tensor.mul_(20);
  return model;
}

/// Texts with a common prefix, shorter and longer than 8 tokens; the last one or three are scored.
std::vector<ScoredSequence> some_sequences() {
  const TokenIds beginning{3, 1, 4, 1, 5};
  std::vector<ScoredSequence> sequences;
  for (size_t length = 1; length <= 9; ++length)
    for (const TokenId variant : {7, 11}) {
      ScoredSequence sequence{beginning, beginning.size()};
      for (size_t i = 0; i < length; ++i)
        sequence.tokens.push_back(
            static_cast<TokenId>((static_cast<size_t>(variant) + i * i) % 32));
      sequence.first = sequence.tokens.size() - (length > 2 ? 3 : 1);
      sequences.push_back(sequence);
    }
  return sequences;
}

/// The text alone, in one pass.
double score_alone(const LanguageModel& model, const ScoredSequence& sequence) {
  const std::vector<int64_t> ids(sequence.tokens.begin(), sequence.tokens.end());
  const at::Tensor all = at::tensor(ids, at::kLong).unsqueeze(0);
  const at::Tensor read = all.narrow(1, 0, all.size(1) - 1);
  const at::Tensor scores =
      model.architecture->logits(model.weights, read)[0].log_softmax(-1).to(at::kDouble);
  double sum = 0;
  for (size_t i = sequence.first; i < sequence.tokens.size(); ++i)
    sum += scores[static_cast<int64_t>(i) - 1][ids[i]].item<double>();
  return sum;
}

const std::vector<BatchLimits> kLimits{
    BatchLimits::of(at::kCPU),
    {.tokens = 40, .cached_tokens = 60, .packing = {.tree_tokens = 6, .prefix_tokens = 2}},
    {.tokens = 1, .cached_tokens = 1, .packing = {.tree_tokens = 1, .prefix_tokens = 1}}};

}  // namespace

TEST_CASE("a score does not depend on the lengths of other texts in the batch", "[lm]") {
  const auto sequences = some_sequences();
  for (const LanguageModel& model : {long_rope(), dynamic()}) {
    // The test needs angles that depend on the length.
    REQUIRE_FALSE(model.architecture->can_extend(8, 9));
    for (const BatchLimits& limits : kLimits) {
      const auto scores = score_sequences(model, sequences, limits);
      for (size_t i = 0; i < sequences.size(); ++i) {
        INFO(sequences[i].tokens.size() << " tokens, " << limits.tokens << " at once");
        CHECK(scores[i].log_likelihood == Approx(score_alone(model, sequences[i])).epsilon(1e-4));
      }
    }
  }
}

TEST_CASE("generation recomputes a text whose length changes the angles", "[lm]") {
  std::vector<GenerationRequest> requests;
  std::vector<ScoredSequence> prompts;
  for (const ScoredSequence& sequence : some_sequences()) {
    requests.push_back({"", {}, static_cast<int64_t>(3 + requests.size() % 5), "an item"});
    prompts.push_back(sequence);
  }
  for (const LanguageModel& model : {long_rope(), dynamic()})
    for (const BatchLimits& limits : kLimits) {
      const auto answers = generate_greedily(model, requests, prompts, limits);
      for (size_t i = 0; i < requests.size(); ++i) {
        GenerateOptions options;
        options.max_new_tokens = requests[i].max_tokens;
        options.use_cache = false;
        const auto alone =
            generate(*model.architecture, model.weights, {prompts[i].tokens}, options);
        INFO(prompts[i].tokens.size() << " tokens, " << limits.cached_tokens << " at once");
        CHECK(answers[i].text == model.tokenizer->decode(alone.front(), true));
      }
    }
}
