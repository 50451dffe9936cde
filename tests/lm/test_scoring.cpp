#include "harness/lm/internal/scorer.h"

#include <numeric>

#include "tests/catch.h"
#include "tests/lm/fake_language_model.h"

using namespace assay;

namespace {

// "context|scored".
ScoredSequence sequence(const std::string& text) {
  const size_t bar = text.find('|');
  const std::string plain = text.substr(0, bar) + text.substr(bar + 1);
  return {{plain.begin(), plain.end()}, bar};
}

std::vector<ScoredSequence> sequences(const std::vector<std::string>& texts) {
  std::vector<ScoredSequence> out;
  for (const std::string& text : texts) out.push_back(sequence(text));
  return out;
}

std::vector<TreeGroup> packed(const std::vector<std::string>& texts,
                              const PackingLimits& limits = {}) {
  std::vector<size_t> all(texts.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return pack_sequences(sequences(texts), all, limits);
}

std::string ids_of(const TokenTree& tree) { return {tree.ids.begin(), tree.ids.end()}; }

const std::vector<std::string> kTexts{"the sky is| blue",
                                      "the sky is| black",
                                      "the sky is| a",
                                      "the sky is|.",
                                      "two|!",
                                      "grass is| green",
                                      "the sky is| blue",
                                      "x|y",
                                      "the sky| is b",
                                      "grass i|s",
                                      "1 + 1 = 2; 2 + 2| = 4",
                                      "1 + 1 = 2; 2 + 3| = 5",
                                      "1 + 1 = 2; 3 + 3| = 6"};

}  // namespace

TEST_CASE("continuations of one context form one tree", "[lm]") {
  const auto groups = packed({"ab|cx", "ab|cy", "ab|z"});
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].prefix.empty());
  REQUIRE(groups[0].trees.size() == 1);
  const TokenTree& tree = groups[0].trees[0];
  CHECK(ids_of(tree) == "abc");  // last tokens are predicted only; c predicts x and y
  CHECK(tree.is_chain());
  std::vector<std::string> targets;
  for (const TokenTree::Target& target : tree.targets)
    targets.push_back(
        fmt::format("{}{}{}", target.node, static_cast<char>(target.token), target.sequence));
  CHECK(targets == std::vector<std::string>{"1c0", "2x0", "1c1", "2y1", "1z2"});
}

TEST_CASE("each branch of a tree starts at its own parent", "[lm]") {
  const auto groups = packed({"ab|cde", "ab|xyz"});
  const TokenTree& tree = groups.at(0).trees.at(0);
  CHECK(ids_of(tree) == "abcdxy");
  CHECK(tree.parents == std::vector<int32_t>{-1, 0, 1, 2, 1, 4});
  CHECK(tree.positions == std::vector<int64_t>{0, 1, 2, 3, 2, 3});
  CHECK_FALSE(tree.is_chain());
}

TEST_CASE("sequences with short common prefixes form separate trees, longest first", "[lm]") {
  const auto groups = packed({"q: one|1", "q: the other one|2", "z|3"});
  REQUIRE(groups.size() == 1);
  std::vector<std::string> rows;
  for (const TokenTree& tree : groups[0].trees) rows.push_back(ids_of(tree));
  CHECK(rows == std::vector<std::string>{"q: the other one", "q: one", "z"});
}

TEST_CASE("continuations share a context even if it exceeds the maximum size of a tree", "[lm]") {
  const auto groups = packed({"context!|one", "context!|two", "context?|no"}, {.tree_tokens = 6});
  REQUIRE(groups.size() == 1);
  REQUIRE(groups[0].trees.size() == 1);
  CHECK(ids_of(groups[0].trees[0]) == "context!ontw?n");
}

TEST_CASE("a long prefix that several trees share is cached", "[lm]") {
  const PackingLimits limits{.tree_tokens = 6, .prefix_tokens = 8};
  const auto groups = packed(
      {"examples: one|1", "examples: one|2", "examples: two|3", "examples: six|4", "other|5"},
      limits);
  REQUIRE(groups.size() == 2);
  CHECK(std::string(groups[0].prefix.begin(), groups[0].prefix.end()) == "examples: ");
  std::vector<std::string> rows;
  for (const TokenTree& tree : groups[0].trees) rows.push_back(ids_of(tree));
  CHECK(rows == std::vector<std::string>{"onesix", "two"});  // at most 6 tokens each
  CHECK(groups[0].trees[0].parents == std::vector<int32_t>{-1, 0, 1, -1, 3, 4});
  CHECK(groups[0].trees[0].positions.front() == 10);
  CHECK(groups[1].prefix.empty());
  CHECK(ids_of(groups[1].trees.at(0)) == "other");
}

TEST_CASE("log-likelihoods are those of the definition, whatever the batches", "[lm]") {
  const LanguageModel model = fake_model();
  const std::vector<std::string>& texts = kTexts;
  const std::vector<BatchLimits> all{
      {.tokens = 1, .cached_tokens = 1},
      {.tokens = 40, .cached_tokens = 1000, .logit_bytes = 1},
      {.tokens = 4096, .cached_tokens = 4096},
      {.tokens = 4096, .cached_tokens = 4096, .packing = {.tree_tokens = 1, .prefix_tokens = 1}},
      {.tokens = 64, .cached_tokens = 12, .packing = {.tree_tokens = 12, .prefix_tokens = 4}}};
  for (const BatchLimits& limits : all) {
    const auto scores = score_sequences(model, sequences(texts), limits);
    REQUIRE(scores.size() == texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      INFO(texts[i] << " with " << limits.tokens << " tokens at once");
      const size_t bar = texts[i].find('|');
      const std::string before = texts[i].substr(0, bar), after = texts[i].substr(bar + 1);
      CHECK(scores[i].log_likelihood == Approx(fake_log_likelihood(before, after)).epsilon(1e-5));
      CHECK(scores[i].greedy == (fake_continuation(before, after.size()) == after));
    }
  }
}

TEST_CASE("the model's own continuation counts as greedy", "[lm]") {
  const LanguageModel model = fake_model();
  const std::string own = fake_continuation("abc", 3);
  const auto scores = score_sequences(
      model, sequences({"abc|" + own, "abc|" + own.substr(0, 2) + "?"}), BatchLimits::of(at::kCPU));
  CHECK(scores[0].greedy);
  CHECK_FALSE(scores[1].greedy);
}

TEST_CASE("shared tokens are computed once, and only targets are scored", "[lm]") {
  const LanguageModel model = fake_model();
  score_sequences(model, sequences({"a long context|1", "a long context|2", "a long context|3"}),
                  BatchLimits::of(at::kCPU));
  CHECK(fake_of(model).tokens_computed ==
        14);  // of the context; continuations of one token add none
  CHECK(fake_of(model).positions_scored == 1);
}

TEST_CASE("batches keep within their budget", "[lm]") {
  const LanguageModel model = fake_model();
  score_sequences(model, sequences(kTexts), {.tokens = 50, .cached_tokens = 100});
  CHECK(fake_of(model).max_pass_tokens <= 50);
}

TEST_CASE("progress adds up to all tokens", "[lm]") {
  const LanguageModel model = fake_model();
  int64_t sum = 0, total = 0;
  score_sequences(model, sequences(kTexts),
                  {.tokens = 30, .cached_tokens = 100, .packing = {.prefix_tokens = 4}},
                  [&](int64_t tokens, int64_t of) {
                    sum += tokens;
                    total = of;
                  });
  CHECK(sum == total);
  CHECK(total > 0);
}
