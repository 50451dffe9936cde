#include <ATen/ATen.h>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/lm/evaluator.h"
#include "harness/model/open.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kGolden = fs::path(ASSAY_TESTS_FOLDER) / "golden/seq2seq";

/// Counts texts and ids, and delegates to another model.
class CountingEncoderDecoder : public SequenceToSequenceArchitecture {
 public:
  explicit CountingEncoderDecoder(std::shared_ptr<const SequenceToSequenceArchitecture> inner)
      : inner_(std::move(inner)) {}
  Json config() const override { return inner_->config(); }
  std::vector<TensorInfo> tensors() const override { return inner_->tensors(); }
  StateDict initial_weights(uint64_t seed) const override { return inner_->initial_weights(seed); }
  int64_t vocabulary() const override { return inner_->vocabulary(); }
  TokenId start_id() const override { return inner_->start_id(); }
  std::optional<int64_t> max_positions() const override { return longest; }
  EncodedText encode(const StateDict& weights, const at::Tensor& ids,
                     const at::Tensor& mask) const override {
    texts_encoded += ids.size(0);
    return inner_->encode(weights, ids, mask);
  }
  at::Tensor decode(const StateDict& weights, const at::Tensor& ids, const EncodedText& text,
                    EncoderDecoderCache* cache) const override {
    ids_decoded += ids.numel();
    return inner_->decode(weights, ids, text, cache);
  }
  at::Tensor vocabulary_logits(const StateDict& weights, const at::Tensor& hidden) const override {
    return inner_->vocabulary_logits(weights, hidden);
  }

  mutable int64_t texts_encoded = 0, ids_decoded = 0;
  std::optional<int64_t> longest = 24;

 private:
  std::shared_ptr<const SequenceToSequenceArchitecture> inner_;
};

SequenceToSequenceModel golden_model() {
  OpenModel opened = open_model(kGolden, {});
  return {std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(opened.architecture),
          std::move(opened.weights), at::kCPU, Tokenizer::open(kGolden), ""};
}

std::shared_ptr<CountingEncoderDecoder> count(SequenceToSequenceModel& model) {
  auto counting = std::make_shared<CountingEncoderDecoder>(model.architecture);
  model.architecture = counting;
  return counting;
}

TextRequests golden_requests(const Json& expected) {
  TextRequests requests;
  for (const Json& row : expected.at("likelihoods"))
    requests.likelihoods.push_back({row[0], row[1], "an item"});
  for (const Json& row : expected.at("generations"))
    requests.generations.push_back({row[0], row[1], row[2], "an item"});
  return requests;
}

}  // namespace

TEST_CASE("an encoder-decoder answers as in lm-evaluation-harness, whatever the batches", "[lm]") {
  const Json expected = read_json(kGolden / "expected.json");
  const TextRequests requests = golden_requests(expected);
  for (const BatchLimits& limits :
       {BatchLimits::of(at::kCPU), BatchLimits{.tokens = 1, .cached_tokens = 1},
        BatchLimits{.tokens = 60, .cached_tokens = 90, .logit_bytes = 1}}) {
    LanguageEvaluator evaluator(golden_model(), limits);
    const TextResponses answers = evaluator.answer(requests);
    for (size_t i = 0; i < requests.likelihoods.size(); ++i) {
      const Json& row = expected.at("likelihoods")[i];
      INFO(row << " with " << limits.tokens << " tokens at once");
      CHECK(answers.likelihoods[i].log_likelihood == Approx(row[2].get<double>()).epsilon(1e-5));
      CHECK(answers.likelihoods[i].greedy == row[3].get<bool>());
    }
    for (size_t i = 0; i < requests.generations.size(); ++i) {
      const Json& row = expected.at("generations")[i];
      INFO(row << " with " << limits.tokens << " tokens at once");
      CHECK(answers.generations[i].text == row[3].get<std::string>());
    }
    CHECK(evaluator.report()["max_length"] == 24);
    CHECK(evaluator.usage().truncated > 0);  // the long question
  }
}

TEST_CASE("an encoder-decoder's continuation is tokenized separately", "[lm]") {
  const SequenceToSequenceModel model = golden_model();
  const TextEncoder encoder(model);
  const TokenIds text = model.tokenizer->encode("Short:", true);
  const ScoredSequence pair = encoder.pair({"Short: ", "a", "here"});
  CHECK(TokenIds(pair.tokens.begin(), pair.tokens.begin() + static_cast<int64_t>(pair.first)) ==
        text);
  CHECK(text.back() == model.tokenizer->eos());
  CHECK(TokenIds(pair.tokens.begin() + static_cast<int64_t>(pair.first), pair.tokens.end()) ==
        model.tokenizer->encode(" a", false));
  // Empty context: EOS, as there is no BOS.
  CHECK(encoder.pair({"", "a", "here"}).tokens.front() == 1);
  CHECK(encoder.pair({"", "a", "here"}).first == 1);
  // The context is truncated at its beginning, the continuation is not.
  std::string many;
  for (int i = 0; i < 40; ++i) many += "a ";
  const ScoredSequence cut = encoder.pair({many, "a b", "here"});
  CHECK(cut.first == 24);
  CHECK(cut.tokens[23] == 1);
  CHECK(cut.dropped > 0);
  CHECK_THROWS_WITH(encoder.pair({"Short:", many, "here"}),
                    Contains("here") && Contains("at most 24"));
  CHECK(encoder.prompt({many, {}, 500, "here"}).tokens.size() == 24);
  CHECK_THROWS_AS(encoder.windows({"text", 0, "here"}), UserError);
}

TEST_CASE("a context that several continuations share is encoded once", "[lm]") {
  SequenceToSequenceModel model = golden_model();
  const auto counting = count(model);
  LanguageEvaluator evaluator(model);
  const int64_t before = counters::examples;
  evaluator.answer({.likelihoods = {{"Short:", " Paris", "a"},
                                    {"Short:", " the city", "b"},
                                    {"Short:", " a", "c"},
                                    {"Other:", " a", "d"}}});
  CHECK(counting->texts_encoded == 2);
  CHECK(counters::examples - before == 4);
  const auto tokens = [&](const char* text) {
    return static_cast<int64_t>(model.tokenizer->encode(text, false).size());
  };
  // The start token once per text; last tokens are predicted only.
  const int64_t rows = tokens(" a") > 1 ? 4 : 2;
  const int64_t width = std::max({tokens(" Paris"), tokens(" the city"), tokens(" a")}) - 1;
  CHECK(counting->ids_decoded == 2 + rows * width);
}

TEST_CASE("where config.json states no length, the tokenizer does, else it is 2048", "[lm]") {
  SequenceToSequenceModel model = golden_model();
  const auto counting = count(model);
  counting->longest = std::nullopt;
  CHECK(TextEncoder(model).max_length() == model.tokenizer->max_length().value_or(2048));
}

TEST_CASE("an encoder-decoder refuses rolling requests", "[lm]") {
  LanguageEvaluator evaluator(golden_model());
  CHECK_THROWS_WITH(evaluator.answer({.rolling = {{"a text", 0, "item 3"}}}),
                    Contains("item 3") && Contains("encoder-decoder"));
}
