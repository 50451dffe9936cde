#include "harness/lm/internal/generation.h"

#include "tests/catch.h"
#include "tests/lm/fake_language_model.h"

using namespace assay;

namespace {

std::vector<Generation> generate(const LanguageModel& model,
                                 const std::vector<GenerationRequest>& requests,
                                 const BatchLimits& limits) {
  std::vector<ScoredSequence> prompts;
  for (const GenerationRequest& request : requests)
    prompts.push_back(TextEncoder(model).prompt(request));
  return generate_greedily(model, requests, prompts, limits);
}

std::string without_special(std::string text) {
  std::erase_if(text, [](char c) { return c == '^' || c == '$'; });
  return text;
}

}  // namespace

TEST_CASE("generation is greedy, whatever the batches", "[lm]") {
  const LanguageModel model = fake_model();
  const std::vector<GenerationRequest> requests{{"shared beginning: one", {}, 8, "1"},
                                                {"shared beginning: three", {}, 12, "2"},
                                                {"alone", {}, 8, "3"},
                                                {"shared beginning: two", {}, 1, "4"},
                                                {"", {}, 5, "5"}};
  const std::vector<BatchLimits> all{
      {.tokens = 1, .cached_tokens = 1},
      {.tokens = 7, .cached_tokens = 100, .packing = {.prefix_tokens = 4}},
      {.tokens = 4096, .cached_tokens = 4096}};
  for (const BatchLimits& limits : all) {
    const auto answers = generate(model, requests, limits);
    for (size_t i = 0; i < requests.size(); ++i) {
      const std::string prompt = requests[i].context.empty() ? "^" : requests[i].context;
      std::string expected = fake_continuation(prompt, static_cast<size_t>(requests[i].max_tokens));
      if (const size_t end = expected.find('$'); end != std::string::npos) expected.resize(end + 1);
      INFO(requests[i].context << " with " << limits.cached_tokens);
      CHECK(answers[i].text == without_special(expected));
      CHECK(answers[i].tokens == static_cast<int64_t>(expected.size()));
      CHECK(answers[i].stopped == expected.ends_with('$'));
    }
  }
}

TEST_CASE("generation ends at any token that ends a text", "[lm]") {
  class ManyEnds : public CharacterTokenizer {
   public:
    explicit ManyEnds(TokenId end) : end_(end) {}
    TokenIds end_ids() const override { return {'$', end_}; }

   private:
    TokenId end_;
  };
  LanguageModel model = fake_model();
  const std::string free = fake_continuation("go", 12);
  const size_t position = free.find(free[5]);
  model.tokenizer = std::make_shared<ManyEnds>(free[5]);
  const auto answers = generate(model, {{"go", {}, 12, "1"}}, BatchLimits::of(at::kCPU));
  CHECK(answers[0].text == free.substr(0, position));  // without the end token, special or not
  CHECK(answers[0].tokens == static_cast<int64_t>(position) + 1);
  CHECK(answers[0].stopped);
}

TEST_CASE("generation ends at a stop string, which is removed", "[lm]") {
  const LanguageModel model = fake_model();
  const std::string free = fake_continuation("go", 12);
  REQUIRE(free.find('$') == std::string::npos);
  const std::string stop = free.substr(4, 2);
  REQUIRE(free.find(stop) == 4);
  const auto answers = generate(model, {{"go", {"", stop}, 12, "1"}, {"go", {}, 12, "2"}},
                                BatchLimits::of(at::kCPU));
  CHECK(answers[0].text == free.substr(0, 4));
  CHECK(answers[0].stopped);
  CHECK(answers[0].tokens == 6);
  CHECK(answers[1].text == without_special(free));
  CHECK_FALSE(answers[1].stopped);
}

TEST_CASE("text is cut at each stop string in turn", "[lm]") {
  CHECK(cut_at_stops("a. b\nc", {"\n", "."}) == "a");
  CHECK(cut_at_stops("a b", {"x", ""}) == "a b");
}
