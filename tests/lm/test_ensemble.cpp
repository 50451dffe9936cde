#include "harness/model/ensemble.h"

#include "harness/core/cost.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/lm/fake_language_model.h"
#include "tests/model/language_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Logits of the fake model times -0.5.
class ContraryArchitecture : public FakeArchitecture {
 public:
  using FakeArchitecture::FakeArchitecture;
  at::Tensor vocabulary_logits(const StateDict& weights, const at::Tensor& hidden) const override {
    return FakeArchitecture::vocabulary_logits(weights, hidden) * -0.5;
  }
};

LanguageModel contrary_model() {
  LanguageModel model = fake_model(32);
  model.architecture = std::make_shared<ContraryArchitecture>(32);
  return model;
}

/// The mean of the two members' probabilities of every token after `before`.
std::vector<double> mean_probabilities(const std::string& before) {
  const std::vector<double> scores = fake_scores(before);
  double total = 0, contrary_total = 0;
  for (const double score : scores) {
    total += std::exp(score);
    contrary_total += std::exp(-0.5 * score);
  }
  std::vector<double> means;
  for (const double score : scores)
    means.push_back((std::exp(score) / total + std::exp(-0.5 * score) / contrary_total) / 2);
  return means;
}

double mean_log_likelihood(std::string before, const std::string& text) {
  double sum = 0;
  for (const char next : text) {
    sum += std::log(mean_probabilities(before)[static_cast<size_t>(next)]);
    before += next;
  }
  return sum;
}

std::string mean_continuation(std::string before, size_t tokens) {
  const size_t size = before.size();
  while (before.size() < size + tokens) {
    const std::vector<double> means = mean_probabilities(before);
    before += static_cast<char>(std::max_element(means.begin(), means.end()) - means.begin());
  }
  return before.substr(size);
}

SequenceToSequenceModel t5(const fs::path& folder, const fs::path& tokenizer) {
  OpenModel opened = open_model(folder, {});
  return {std::dynamic_pointer_cast<const SequenceToSequenceArchitecture>(opened.architecture),
          std::move(opened.weights), at::kCPU, Tokenizer::open(tokenizer), ""};
}

}  // namespace

TEST_CASE("an ensemble's probabilities are the members' mean, token by token", "[lm]") {
  const AnyLanguageModel ensemble = ensemble_of({fake_model(), contrary_model()}, "");
  for (const BatchLimits& limits :
       {BatchLimits::of(at::kCPU),
        BatchLimits{
            .tokens = 9, .cached_tokens = 90, .packing = {.tree_tokens = 8, .prefix_tokens = 4}}}) {
    LanguageEvaluator evaluator(ensemble, limits);
    const int64_t before = counters::examples;
    TextRequests requests;
    for (const std::string end : {"one", "two", "three"})
      requests.likelihoods.push_back({"so: " + end, " then", "a"});
    requests.generations = {{"so: x", {}, 9, "b"}, {"so: xyz", {}, 9, "c"}, {"go", {}, 3, "d"}};
    const TextResponses answers = evaluator.answer(requests);
    for (size_t i = 0; i < requests.likelihoods.size(); ++i)
      CHECK(answers.likelihoods[i].log_likelihood ==
            Approx(mean_log_likelihood(requests.likelihoods[i].context, " then")).epsilon(1e-5));
    for (size_t i = 0; i < requests.generations.size(); ++i) {
      const GenerationRequest& request = requests.generations[i];
      const std::string expected =
          mean_continuation(request.context, static_cast<size_t>(request.max_tokens));
      REQUIRE(expected.find_first_of("^$") == std::string::npos);
      CHECK(answers.generations[i].text == expected);
    }
    CHECK(counters::examples - before == 12);  // six requests, two members
    CHECK(evaluator.report()["max_length"] == 32);
  }
}

TEST_CASE("an ensemble by logits has the members' geometric mean, also in greedy decoding",
          "[lm]") {
  // Logits s and -0.5 s: their mean is s / 4, with the contrary model as it is.
  const auto log_probabilities = [](const std::string& before) {
    std::vector<double> scores = fake_scores(before);
    double total = 0;
    for (double& score : scores) total += std::exp(score *= .25);
    for (double& score : scores) score -= std::log(total);
    return scores;
  };
  LanguageEvaluator evaluator(
      ensemble_of({fake_model(), contrary_model()}, "", EnsembleRule::kLogits));
  const TextResponses answers = evaluator.answer(
      {.likelihoods = {{"so: one", " a", "a"}}, .generations = {{"so: x", {}, 5, "b"}}});

  const double expected = log_probabilities("so: one")[' '] + log_probabilities("so: one ")['a'];
  CHECK(answers.likelihoods[0].log_likelihood == Approx(expected).epsilon(1e-5));
  std::string text = "so: x";
  for (int i = 0; i < 5; ++i) {
    const std::vector<double> scores = log_probabilities(text);
    text += static_cast<char>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
  CHECK(answers.generations[0].text == text.substr(5));
}

TEST_CASE("language models have no majority vote, with a reason", "[lm]") {
  CHECK_THROWS_WITH(ensemble_of({fake_model(), contrary_model()}, "", EnsembleRule::kVotes),
                    Contains("token by token"));
}

TEST_CASE("an ensemble of one model is that model", "[lm]") {
  const auto golden = fs::path(ASSAY_TESTS_FOLDER) / "golden/seq2seq";
  const SequenceToSequenceModel model = t5(golden, golden);
  const TextRequests requests{.likelihoods = {{"Short:", " the city", "a"}},
                              .generations = {{"Short:", {}, 12, "b"}}};
  const TextResponses alone = LanguageEvaluator(model).answer(requests);
  const TextResponses twice = LanguageEvaluator(ensemble_of({model, model}, "")).answer(requests);
  CHECK(twice.likelihoods[0].log_likelihood ==
        Approx(alone.likelihoods[0].log_likelihood).epsilon(1e-5));
  CHECK(twice.generations[0].text == alone.generations[0].text);
}

TEST_CASE("encoder-decoders average the probabilities of every decoder token", "[lm]") {
  const auto golden = fs::path(ASSAY_TESTS_FOLDER) / "golden/seq2seq";
  const SequenceToSequenceModel first = t5(golden, golden);
  SequenceToSequenceModel second = first;
  second.weights["lm_head.weight"] = first.weights.at("lm_head.weight").flip(0);
  const AnyLanguageModel any = ensemble_of({first, second}, "");
  const auto& both = std::get<SequenceToSequenceModel>(any);
  const at::Tensor ids = at::tensor({5, 6, 7, 1}, at::kLong).unsqueeze(0);

  const at::Tensor together = both.architecture->logits(both.weights, ids);

  const at::Tensor mean = (first.architecture->logits(first.weights, ids).softmax(-1) +
                           second.architecture->logits(second.weights, ids).softmax(-1)) /
                          2;
  CHECK(at::allclose(together.exp(), mean, 1e-4, 1e-6));
}

TEST_CASE("each member of an ensemble computes in its own dtype", "[lm]") {
  const auto golden = fs::path(ASSAY_TESTS_FOLDER) / "golden/seq2seq";
  const at::Tensor ids = at::tensor({5, 6, 7, 1}, at::kLong).unsqueeze(0);
  const auto check = [&](auto first, auto second) {
    for (auto& [unused, tensor] : second.weights) tensor = tensor.to(at::kBFloat16);
    const AnyLanguageModel any = ensemble_of({first, second}, "");
    const auto& both = std::get<decltype(first)>(any);

    const at::Tensor together = both.architecture->logits(both.weights, ids);

    const auto probabilities = [&](const auto& member) {
      return member.architecture->logits(member.weights, ids).softmax(-1, at::kFloat);
    };
    CHECK(together.scalar_type() == at::kFloat);
    CHECK(at::allclose(together.exp(), (probabilities(first) + probabilities(second)) / 2, 1e-5,
                       1e-7));
    const TextRequests requests{.likelihoods = {{"ab", "cd", "x"}},
                                .generations = {{"ab", {}, 5, "y"}}};
    CHECK(LanguageEvaluator(any).answer(requests).likelihoods.at(0).tokens > 0);
  };
  const SequenceToSequenceModel encoder_decoder = t5(golden, golden);
  check(encoder_decoder, encoder_decoder);
  Json config = example_config("llama");
  config["vocab_size"] = 256;
  LanguageModel decoder = small_llama();
  decoder.architecture = language(config);
  decoder.weights = decoder.architecture->initial_weights(1);
  decoder.tokenizer = Tokenizer::open(TemporaryFolder().path());
  check(decoder, decoder);
}

TEST_CASE("models with different tokens form no ensemble", "[lm]") {
  LanguageModel other = fake_model();
  other.tokenizer = std::make_shared<CharacterTokenizer>(true);
  CHECK_THROWS_AS(ensemble_of({fake_model(), other}, ""), SkipCell);
  CHECK_THROWS_WITH(ensemble_of({fake_model(), other}, ""), Contains("different tokenizers"));
  LanguageModel smaller = fake_model();
  smaller.architecture = std::make_shared<FakeArchitecture>(64, 127);
  CHECK_THROWS_WITH(ensemble_of({fake_model(), smaller}, ""), Contains("128 and 127"));
  const auto golden = fs::path(ASSAY_TESTS_FOLDER) / "golden/seq2seq";
  CHECK_THROWS_WITH(ensemble_of({fake_model(), t5(golden, golden)}, ""),
                    Contains("decoders and encoder-decoders"));
}
