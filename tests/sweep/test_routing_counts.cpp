#include "harness/sweep/internal/routing_counts.h"

#include <ATen/ATen.h>

#include <numeric>

#include "harness/lm/evaluator.h"
#include "tests/catch.h"
#include "tests/lm/fake_language_model.h"
#include "tests/methods/mixtures.h"

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
  RoutingCounts counts;
  LanguageEvaluator(model).answer(requests);
  return counts.decisions;
}

TextRequests request(const std::string& context, const std::string& continuation) {
  TextRequests requests;
  requests.likelihoods = {{context, continuation, "a test"}};
  return requests;
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
  CHECK(has_routers(mixture_of_text()));
  std::shared_ptr<const Architecture> any =
      make_architecture(JsonReader(small_llama_config(), "test"));
  LanguageModel dense = mixture_of_text();
  dense.architecture = std::dynamic_pointer_cast<const LanguageArchitecture>(any);
  CHECK_FALSE(has_routers(dense));
}
