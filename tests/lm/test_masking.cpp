// Masked tokens: which are drawn, and their likelihoods against transformers.
#include "harness/lm/masking.h"

#include <cmath>
#include <map>
#include <set>

#include "harness/core/error.h"
#include "harness/task/task.h"
#include "tests/catch.h"
#include "tests/lm/encoder_models.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// The tokenizer of t0 ... t31, whose t4 is the mask.
std::shared_ptr<const Tokenizer> words_with_mask() {
  Json json = Json::parse(word_tokenizer());
  json["model"]["vocab"].erase("t4");
  json["model"]["vocab"]["[MASK]"] = 4;
  const TemporaryFolder folder;
  write_file(folder.path() / "tokenizer.json", json.dump());
  return Tokenizer::open(folder.path());
}

EncoderModelPredictor masked_predictor(const std::string& family,
                                       std::optional<int64_t> batch_tokens = {}) {
  EncoderModel model = tiny_encoder(family);
  model.tokenizer = words_with_mask();
  return EncoderModelPredictor(std::move(model), batch_tokens);
}

// The goldens' texts without what encloses them.
const std::vector<EncoderText> kGoldenTexts = {{"t7 t9 t5 t11", {}, "first"}, {"t5", {}, "second"}};

}  // namespace

TEST_CASE("15 % of a text's tokens are predicted, mostly behind a mask", "[lm]") {
  CHECK(masked_count(1) == 1);
  CHECK(masked_count(10) == 2);  // 1.5, rounded
  CHECK(masked_count(100) == 15);
  TokenIds ids(102);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i + 1000);
  int64_t masks = 0, kept = 0, others = 0;
  std::set<int64_t> places;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const auto drawn = draw_masked(ids, {1, 100}, 7, 500, rng);
    REQUIRE(drawn.size() == 15);
    for (size_t i = 0; i < drawn.size(); ++i) {
      CHECK((i == 0 || drawn[i - 1].place < drawn[i].place));
      places.insert(drawn[i].place);
      if (drawn[i].read == 7)
        ++masks;
      else if (drawn[i].read == ids[static_cast<size_t>(drawn[i].place)])
        ++kept;
      else
        ++others;
    }
  }
  // Of 3000: 2400, 300 and 300, within five standard deviations; 6 of 3000 others may be 7 itself.
  CHECK(std::abs(masks - 2400) < 115);
  CHECK(std::abs(kept - 300) < 85);
  CHECK(std::abs(others - 300) < 85);
  CHECK(places.size() == 100);  // each of them, and nothing around the text
  CHECK(*places.begin() == 1);
  CHECK(*places.rbegin() == 100);
}

TEST_CASE("masked tokens have the reference's likelihoods, whatever the batches", "[lm]") {
  for (const std::string family : {"bert-masked", "roberta-masked"}) {
    const Json expected = read_json(fs::path(ASSAY_TESTS_FOLDER) / "golden/models" / family /
                                    "expected.json")["masked_log_likelihoods"];
    for (const int64_t tokens : {1, 9, 1000}) {
      INFO(family << ", " << tokens << " tokens at once");
      const auto found = masked_predictor(family, tokens).masked_log_likelihoods(kGoldenTexts);
      REQUIRE(found.size() == 2);
      for (size_t i = 0; i < 2; ++i) {
        REQUIRE(found[i].size() == expected[i].size());
        for (size_t k = 0; k < found[i].size(); ++k)
          CHECK(found[i][k] == Approx(expected[i][k].get<double>()).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("pseudo-perplexity is that of all tokens of the split", "[lm][task]") {
  const TextFolder folder;
  const Json definition = {
      {"dataset",
       {{"files",
         {{"test", folder.lines("a.jsonl", {{{"text", "t7 t9 t5 t11"}}, {{"text", "t5"}}})}}}}},
      {"text", "{{text}}"}};
  const auto task = make_text_task("pseudo_perplexity", definition);
  CHECK(task->primary_metric() == "pseudo_perplexity");
  const auto results = task->evaluate(masked_predictor("bert-masked"), Split::kTest);
  // transformers: -3.962594 - 3.488168 - 3.299907 - 5.26714 and -4.949736, five tokens.
  REQUIRE(results.size() == 1);
  CHECK(results[0].value == Approx(std::exp((16.017809 + 4.949736) / 5)).epsilon(1e-5));
  CHECK(results[0].outcomes.size() == 2);
  CHECK_THROWS_WITH(task->evaluate(masked_predictor("bert-bare"), Split::kTest),
                    Contains("without a head for masked tokens"));
  Json pair = definition;
  pair["text_pair"] = "{{text}}";
  CHECK_THROWS_WITH(make_text_task("pseudo_perplexity", pair), Contains("text_pair"));
}

TEST_CASE("an ensemble predicts masked tokens by the mean of probabilities", "[lm]") {
  const auto one = std::make_shared<EncoderModelPredictor>(masked_predictor("bert-masked"));
  const auto other = std::make_shared<EncoderModelPredictor>(masked_predictor("roberta-masked"));
  const auto a = one->masked_log_likelihoods(kGoldenTexts),
             b = other->masked_log_likelihoods(kGoldenTexts);
  const auto both = EncoderEnsemble({one, other}).masked_log_likelihoods(kGoldenTexts);
  CHECK(both[0][1] == Approx(std::log((std::exp(a[0][1]) + std::exp(b[0][1])) / 2)));
  CHECK_THROWS_AS(
      EncoderEnsemble({one, other}, EnsembleRule::kVotes).masked_log_likelihoods(kGoldenTexts),
      UserError);
}

TEST_CASE("a tokenizer without a mask cannot predict tokens", "[lm]") {
  CHECK(mask_id(*words_with_mask()) == 4);
  CHECK_THROWS_WITH(mask_id(*plain_words()), Contains("[MASK]") && Contains("<mask>"));
}
