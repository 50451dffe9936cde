#include <algorithm>
#include <set>

#include "harness/model/ensemble.h"
#include "tests/catch.h"
#include "tests/lm/fake_language_model.h"
#include "tests/model/routed_models.h"

using namespace assay;

namespace {

std::shared_ptr<const Tokenizer> characters() {
  return std::make_shared<const CharacterTokenizer>(/*adds_bos=*/true);
}

TextRequests three_requests() {
  TextRequests requests;
  for (const std::string context : {"one", "another one", "and a third"})
    for (const std::string continuation : {" then", " and", " so on"})
      requests.likelihoods.push_back({context, continuation, "a"});
  requests.rolling = {{"a text that is longer than one of the windows of sixty-four tokens, twice "
                       "as long, in fact, or nearly so",
                       0, "b"},
                      {"short", 0, "c"}};
  requests.generations = {{"one", {}, 5, "d"}, {"and a third", {}, 5, "e"}};
  return requests;
}

void check_equal(const TextResponses& found, const TextResponses& wanted) {
  for (size_t i = 0; i < wanted.likelihoods.size(); ++i)
    CHECK(found.likelihoods[i].log_likelihood ==
          Approx(wanted.likelihoods[i].log_likelihood).epsilon(1e-5));
  for (size_t i = 0; i < wanted.rolling.size(); ++i)
    CHECK(found.rolling[i].log_likelihood ==
          Approx(wanted.rolling[i].log_likelihood).epsilon(1e-5));
  for (size_t i = 0; i < wanted.generations.size(); ++i)
    CHECK(found.generations[i].text == wanted.generations[i].text);
}

TextResponses answers_of(const AnyLanguageModel& model, const TextRequests& requests) {
  return LanguageEvaluator(model).answer(requests);
}

}  // namespace

TEST_CASE("a routed ensemble in which all answer alike is the output ensemble", "[lm][routed]") {
  for (const auto mix : {RoutingOptions::Mix::kProbabilities, RoutingOptions::Mix::kLogits}) {
    const RoutedModel routed = routed_model(
        {.members = 3, .router = SequenceRouterKind::kUniform, .mix = mix}, characters());
    const AnyLanguageModel ensemble = ensemble_of(
        {member_of(routed, 0), member_of(routed, 1), member_of(routed, 2)}, "",
        mix == RoutingOptions::Mix::kLogits ? EnsembleRule::kLogits : EnsembleRule::kProbabilities);
    check_equal(answers_of(routed, three_requests()), answers_of(ensemble, three_requests()));
  }
}

TEST_CASE("a routed ensemble of one member is the member", "[lm][routed]") {
  const RoutedModel routed = routed_model({.members = 1, .top_k = 1}, characters());
  check_equal(answers_of(routed, three_requests()),
              answers_of(member_of(routed, 0), three_requests()));
}

TEST_CASE("each sequence is answered by the member that its prompt decides for", "[lm][routed]") {
  const RoutedModel routed = routed_model({.members = 3, .top_k = 1}, characters());
  const TextRequests requests = three_requests();
  const TextResponses found = answers_of(routed, requests);
  const auto chosen = [&](const std::string& prompt) {
    const std::vector<double> shares =
        routed.architecture->decide(routed.weights, routed.tokenizer->encode(prompt, true));
    return static_cast<size_t>(std::find(shares.begin(), shares.end(), 1) - shares.begin());
  };
  std::set<size_t> answering;
  for (size_t i = 0; i < requests.likelihoods.size(); ++i) {
    const LikelihoodRequest& request = requests.likelihoods[i];
    answering.insert(chosen(request.context));
    TextRequests one;
    one.likelihoods = {request};
    const TextResponses wanted = answers_of(member_of(routed, chosen(request.context)), one);
    CHECK(found.likelihoods[i].log_likelihood ==
          Approx(wanted.likelihoods[0].log_likelihood).epsilon(1e-5));
  }
  CHECK(answering.size() > 1);  // else nothing is tested
  for (size_t i = 0; i < requests.generations.size(); ++i) {
    TextRequests one;
    one.generations = {requests.generations[i]};
    CHECK(found.generations[i].text ==
          answers_of(member_of(routed, chosen(requests.generations[i].context)), one)
              .generations[0]
              .text);
  }
}

TEST_CASE("all members answer a text's opening, which decides about the rest", "[lm][routed]") {
  RoutingOptions options{.members = 3, .top_k = 1, .opening = 5};
  const RoutedModel routed = routed_model(options, characters());
  options.router = SequenceRouterKind::kUniform;
  RoutedModel uniform = routed;
  uniform.architecture = std::make_shared<const RoutedArchitecture>(routed_member(), options);

  const std::string text = "whatever it says";
  TextRequests whole;
  whole.rolling = {{text, 0, "a"}};
  // Five tokens with BOS.
  TextRequests opening, rest;
  opening.rolling = {{text.substr(0, 4), 0, "a"}};
  rest.likelihoods = {{text.substr(0, 4), text.substr(4), "a"}};
  const double wanted = answers_of(uniform, opening).rolling[0].log_likelihood +
                        answers_of(routed, rest).likelihoods[0].log_likelihood;
  CHECK(answers_of(routed, whole).rolling[0].log_likelihood == Approx(wanted).epsilon(1e-5));
  CHECK(answers_of(uniform, whole).rolling[0].log_likelihood != Approx(wanted).epsilon(1e-3));
}
