// T5's denoising objective: what is removed, and that nothing is lost.
#include "harness/train/internal/span_corruption.h"

#include <numeric>

#include "harness/core/error.h"
#include "harness/train/recipe.h"
#include "tests/catch.h"
#include "tests/train/text_home.h"

using namespace assay;
using assay::test::TextHome;
using Catch::Matchers::Contains;

namespace {

constexpr TokenId kFirstSentinel = 1000, kEnd = 2000;

TokenIds counted(TokenId first, int64_t count) {
  TokenIds ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

bool is_sentinel(TokenId id) { return id >= kFirstSentinel && id < kEnd; }

/// The text that context and answer are of: each sentinel replaced by what follows it in the
/// answer.
TokenIds restored(const ScoredSequence& sequence) {
  std::map<TokenId, TokenIds> spans;
  TokenId current = 0;
  for (size_t i = sequence.first; i + 1 < sequence.tokens.size(); ++i) {
    if (is_sentinel(sequence.tokens[i]))
      current = sequence.tokens[i];
    else
      spans[current].push_back(sequence.tokens[i]);
  }
  TokenIds text;
  for (size_t i = 0; i + 1 < sequence.first; ++i) {
    if (!is_sentinel(sequence.tokens[i]))
      text.push_back(sequence.tokens[i]);
    else
      text.insert(text.end(), spans.at(sequence.tokens[i]).begin(),
                  spans.at(sequence.tokens[i]).end());
  }
  return text;
}

/// A T5 over bytes with sentinels, and the task of texts "notes/a".
Json recipe_of_spans(const TextHome& home) {
  const fs::path folder = home.folder() / "tokenizer";
  if (fs::exists(folder)) fs::remove_all(folder);
  fs::create_directories(folder);
  Json tokenizer = read_json(home_folder() / "recipes/tokenizers/bytes/tokenizer.json");
  for (int i = 0; i < 4; ++i) {
    Json token = tokenizer["added_tokens"][0];
    token["id"] = 257 + i;
    token["content"] = fmt::format("<extra_id_{}>", i);
    tokenizer["added_tokens"].push_back(token);
  }
  write_file(folder / "tokenizer.json", tokenizer.dump());
  fs::copy_file(home_folder() / "recipes/tokenizers/bytes/tokenizer_config.json",
                folder / "tokenizer_config.json");
  return Json::parse(R"({"name": "spans", "tokenizer": "../tokenizer",
    "architecture": {"model_type": "t5", "vocab_size": 261, "d_model": 16, "d_kv": 4, "d_ff": 24,
      "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0, "pad_token_id": 0,
      "eos_token_id": 256, "n_positions": 64},
    "checkpoints": {"base": {"role": "base", "init": "random", "mixture": ["notes/a"], "loss": "spans",
      "steps": 100, "batch": 8, "learning_rate": 0.01}}})");
}

}  // namespace

TEST_CASE("spans that are removed are the answer, and 15 % of the text", "[train]") {
  const TokenIds sentinels = counted(kFirstSentinel, 100);
  for (const int64_t length : {2, 3, 7, 20, 100, 511}) {
    const TokenIds text = counted(1, length);
    const int64_t removed = std::max<int64_t>(1, std::llround(0.15 * static_cast<double>(length)));
    const int64_t spans = std::max<int64_t>(1, std::llround(static_cast<double>(removed) / 3.0));
    CHECK(span_count(length) == spans);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Rng rng(seed);
      const ScoredSequence sequence = corrupt_spans(text, sentinels, kEnd, rng);
      CHECK(restored(sequence) == text);
      CHECK(static_cast<int64_t>(sequence.first) == length - removed + spans + 1);
      CHECK(static_cast<int64_t>(sequence.tokens.size() - sequence.first) == removed + spans + 1);
      CHECK(sequence.tokens.front() == 1);  // text comes first
      CHECK(sequence.tokens.back() == kEnd);
      CHECK(sequence.tokens[sequence.first - 1] == kEnd);
      CHECK(sequence.tokens[sequence.first] == kFirstSentinel);
    }
  }
}

TEST_CASE("every division into spans is equally likely", "[train]") {
  // Of 33 tokens five are removed, in two spans: 1+4, 2+3, 3+2 or 4+1.
  const TokenIds text = counted(1, 33), sentinels = counted(kFirstSentinel, 2);
  std::map<int64_t, int> first_spans;
  constexpr int kDraws = 4000;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    Rng rng(seed, "test");
    const ScoredSequence sequence = corrupt_spans(text, sentinels, std::nullopt, rng);
    int64_t length = 0;
    for (size_t i = sequence.first + 1; !is_sentinel(sequence.tokens[i]); ++i) ++length;
    ++first_spans[length];
  }
  REQUIRE(first_spans.size() == 4);
  // Three and a half standard deviations of a count of 4000 draws with probability 1/4.
  for (const auto& [length, count] : first_spans) CHECK(std::abs(count - kDraws / 4) < 96);
}

TEST_CASE("an encoder-decoder is trained on texts with removed spans", "[train]") {
  const TextHome home;
  const Recipe recipe = Recipe::read(home.write_recipe(recipe_of_spans(home)));
  const auto trained = ensure_checkpoint(recipe, "base", home.models());
  const auto losses = trained->origin().at("losses").get<std::vector<double>>();
  CHECK(losses.back() < 0.7 * losses.front());

  Json json = recipe_of_spans(home);
  json["checkpoints"]["base"]["mixture"] = {"sums/of-two"};
  CHECK_THROWS_WITH(
      ensure_checkpoint(Recipe::read(home.write_recipe(json)), "base", home.folder() / "none"),
      Contains("sums/of-two") && Contains("has no texts"));
  json = test::text_recipe();
  json["checkpoints"]["base"]["loss"] = "spans";
  CHECK_THROWS_WITH(Recipe::read(home.write_recipe(json)), Contains("is for encoder-decoders"));
  json = recipe_of_spans(home);
  json["tokenizer"] = (home_folder() / "recipes/tokenizers/bytes").string();
  CHECK_THROWS_WITH(
      ensure_checkpoint(Recipe::read(home.write_recipe(json)), "base", home.folder() / "none"),
      Contains("the tokenizer has 0 sentinels"));
}
