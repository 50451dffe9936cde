#include "harness/sweep/internal/routing_counts.h"

#include <ATen/ATen.h>

#include <numeric>

#include "harness/lm/evaluator.h"
#include "tests/catch.h"
#include "tests/lm/fake_language_model.h"
#include "tests/methods/mixtures.h"
#include "tests/model/routed_models.h"

using namespace assay;
using namespace assay::testing;

namespace {

LanguageModel mixture_of_text() {
  Json config = small_mixtral_config();
  config["vocab_size"] = 128;
  std::shared_ptr<const Architecture> any = make_architecture(JsonReader(config, "test"));
  auto architecture = std::dynamic_pointer_cast<const LanguageArchitecture>(any);
  StateDict weights = small_model(1, config);
  return {std::move(architecture), std::move(weights), at::kCPU,
          std::make_shared<const CharacterTokenizer>(), ""};
}

RouterDecisions counts_of(const std::vector<TextRequests>& requests) {
  const LanguageModel model = mixture_of_text();
  RoutingCounts counts(model);
  LanguageEvaluator(model).answer(requests);
  return counts.decisions;
}

TextRequests request(const std::string& context, const std::string& continuation) {
  TextRequests requests;
  requests.likelihoods = {{context, continuation, "a test"}};
  return requests;
}

/// Two members: a prompt of which character 'a' is the most, or the only one of the two, suits the
/// first, 'b' the second.
RoutedModel letters(int64_t top_k) {
  RoutedModel model = routed_model(
      {.members = 2, .router = SequenceRouterKind::kTfidf, .top_k = top_k, .opening = 3},
      std::make_shared<const CharacterTokenizer>());
  at::Tensor& rows = model.weights["router.rows.weight"];
  rows = at::zeros_like(rows);
  rows[0]['a'] = 1;
  rows[1]['b'] = 1;
  model.weights["router.idf.weight"].fill_(1);
  return model;
}

/// Three prompts for the first member, one of which has two continuations, and one for the second.
TextRequests prompts() {
  TextRequests requests;
  requests.likelihoods = {{"aab", "x", "1"}, {"aab", "yz", "1"}, {"a", "x", "2"}, {"bb", "x", "3"}};
  requests.generations = {{"aaa", {}, 2, "4"}};
  return requests;
}

std::vector<int64_t> member_counts(const RoutedModel& model, const TextRequests& requests,
                                   const BatchLimits& limits = BatchLimits::of(at::kCPU)) {
  RoutingCounts counts(model);
  LanguageEvaluator(model, limits).answer(requests);
  REQUIRE(counts.decisions.size() == 1);
  return counts.decisions.at(kSequenceRouter);
}

}  // namespace

TEST_CASE("every token of a text is counted once for each of its experts", "[sweep][lm]") {
  // Of abcd the last token is scored and not read: three tokens, two experts each.
  const RouterDecisions decisions = counts_of({request("ab", "cd")});
  REQUIRE(decisions.size() == 2);
  for (const auto& [router, counts] : decisions) {
    CAPTURE(router);
    REQUIRE(counts.size() == 6);
    CHECK(std::accumulate(counts.begin(), counts.end(), int64_t{0}) == 2 * 3);
    for (const int64_t count : counts) CHECK(count <= 3);  // a token's two experts differ
  }
}

TEST_CASE("padding is sent to no expert that counts", "[sweep][lm]") {
  // They begin with different characters, and so are rows of one batch.
  const TextRequests longer = request("a long context", " and more"), shorter = request("x", "y");
  RouterDecisions apart = counts_of({longer});
  for (const auto& [router, counts] : counts_of({shorter}))
    for (size_t i = 0; i < counts.size(); ++i) apart.at(router)[i] += counts[i];
  CHECK(counts_of({longer, shorter}) == apart);

  // Prompts of different lengths are padded, and of a generated text all tokens but the last are
  // read.
  TextRequests written;
  written.generations = {{"one", {}, 3, "a"}, {"another", {}, 3, "b"}};
  int64_t sum = 0;
  for (const auto& [unused, counts] : counts_of({written}))
    sum += std::accumulate(counts.begin(), counts.end(), int64_t{0});
  CHECK(sum == 2 * 2 * (3 + 2 + 7 + 2));
}

TEST_CASE("a model has routers or it has none", "[sweep]") {
  ExecutionContext context;
  CHECK(has_routers(mixture_of_text(), context));
  std::shared_ptr<const Architecture> any =
      make_architecture(JsonReader(small_llama_config(), "test"));
  LanguageModel dense = mixture_of_text();
  dense.architecture = std::dynamic_pointer_cast<const LanguageArchitecture>(any);
  CHECK_FALSE(has_routers(dense, context));
}

TEST_CASE("members are counted once for each prompt that they answer", "[sweep][lm][routed]") {
  ExecutionContext context;
  CHECK(has_routers(letters(1), context));
  CHECK(member_counts(letters(1), prompts()) == std::vector<int64_t>{3, 1});
  CHECK(member_counts(letters(2), prompts()) == std::vector<int64_t>{4, 4});
  // Of a text the first three tokens decide: of each window of 64 tokens.
  TextRequests text;
  text.rolling = {{"aab" + std::string(50, 'b'), 0, "a text"}};
  CHECK(member_counts(letters(1), text) == std::vector<int64_t>{1, 0});
}

TEST_CASE("members are counted alike whatever is computed at a time", "[sweep][lm][routed]") {
  for (const int64_t tokens : {1, 8, 4096})
    CHECK(member_counts(letters(1), prompts(), {.tokens = tokens, .cached_tokens = tokens}) ==
          std::vector<int64_t>{3, 1});
}

TEST_CASE("a prompt that tells a router nothing counts for all members", "[sweep][routed]") {
  const RoutedModel model = routed_model({.members = 3, .top_k = 1});
  RoutingCounts counts(model);
  model.architecture->decide(model.weights, {3});  // its only token is not predicted
  CHECK(counts.decisions.at(kSequenceRouter) == std::vector<int64_t>{1, 1, 1});
}

TEST_CASE("routers within a routed ensemble's members are not counted", "[sweep][lm][routed]") {
  const LanguageModel mixture = mixture_of_text();
  auto architecture = std::make_shared<const RoutedArchitecture>(
      MemberArchitectures{mixture.architecture, mixture.architecture}, RoutingOptions{.top_k = 1});
  StateDict weights;
  for (const char* member : {"members.0.", "members.1."})
    for (const auto& [name, weight] : mixture.weights) weights[member + name] = weight;
  const RoutedModel model{std::move(architecture), std::move(weights), at::kCPU, mixture.tokenizer,
                          ""};
  // Equal members: the first is chosen.
  CHECK(member_counts(model, request("ab", "cd")) == std::vector<int64_t>{1, 0});
}

TEST_CASE("a merge notes which checkpoints a routed ensemble's members are", "[sweep][routed]") {
  Cell cell;
  cell.experts = {{.path = "", .hash = "e0"}, {.path = "", .hash = "e1"}};
  cell.base.hash = "b";
  const auto noted = [&](int64_t members) {
    RunRecord record;
    note_members(cell, RoutedArchitecture(routed_member(), {.members = members, .top_k = 1}),
                 record);
    return record.diagnostics.value(kMembers, std::vector<std::string>());
  };
  CHECK(noted(2) == std::vector<std::string>{"e0", "e1"});
  CHECK(noted(3) == std::vector<std::string>{"e0", "e1", "b"});
  CHECK(noted(4).empty());
  RunRecord record;
  note_members(cell, *routed_member(), record);
  CHECK(record.diagnostics.empty());
}
