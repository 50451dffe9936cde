#include "harness/model/ensemble_rule.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "tests/catch.h"

using namespace assay;

namespace {

at::Tensor logs(const std::vector<double>& probabilities) {
  return at::log(at::tensor(probabilities, at::kDouble)).to(at::kFloat).unsqueeze(0);
}

int64_t best(EnsembleRule rule, const std::vector<at::Tensor>& members) {
  return combined_logits(rule, members).argmax(-1).item<int64_t>();
}

}  // namespace

TEST_CASE("logits, probabilities and votes may each choose another class", "[model]") {
  // One member is very sure of class 2, which the others all but rule out.
  const std::vector<at::Tensor> members{logs({.45, .45 - 1e-3, .1 + 1e-3}), logs({.42, .38, .2}),
                                        logs({.01, .44, .55}), logs({.005, .005, .99})};

  CHECK(best(EnsembleRule::kVotes, members) == 2);  // two votes each, 2 is likelier
  CHECK(best(EnsembleRule::kProbabilities, members) == 2);
  CHECK(best(EnsembleRule::kLogits, members) == 2);

  // The geometric mean is low where one member rules a class out: .6 * .6 * .01 < .3 * .3 * .3.
  const std::vector<at::Tensor> veto{logs({.6, .3, .1}), logs({.6, .3, .1}), logs({.01, .3, .69})};
  CHECK(best(EnsembleRule::kVotes, veto) == 0);
  CHECK(best(EnsembleRule::kProbabilities, veto) == 0);  // .403, .3, .297
  CHECK(best(EnsembleRule::kLogits, veto) == 1);

  // Two lukewarm votes against one that is sure: probabilities .3, .3, .4.
  const std::vector<at::Tensor> sure{logs({.45, .40, .15}), logs({.45, .40, .15}),
                                     logs({.05, .05, .90})};
  CHECK(best(EnsembleRule::kVotes, sure) == 0);
  CHECK(best(EnsembleRule::kProbabilities, sure) == 2);
}

TEST_CASE("the scores of an ensemble are those of its rule", "[model]") {
  const std::vector<at::Tensor> members{logs({.5, .25, .25}), logs({.125, .125, .75})};
  const auto scores = [&](EnsembleRule rule) { return combined_logits(rule, members); };
  const auto near = [](const at::Tensor& found, const std::vector<double>& expected) {
    return at::allclose(found.to(at::kDouble), at::tensor(expected, at::kDouble).unsqueeze(0), 0,
                        1e-6);
  };

  CHECK(near(scores(EnsembleRule::kLogits).exp(),
             {std::sqrt(.5 * .125), std::sqrt(.25 * .125), std::sqrt(.25 * .75)}));
  CHECK(at::equal(scores(EnsembleRule::kUsual), scores(EnsembleRule::kLogits)));
  CHECK(near(scores(EnsembleRule::kProbabilities).exp(), {.3125, .1875, .5}));
  // A vote for class 0, one for class 2; half the mean probabilities decide.
  CHECK(near(scores(EnsembleRule::kVotes), {1 + .3125 / 2, .1875 / 2, 1 + .5 / 2}));
}

TEST_CASE("rules have names", "[model]") {
  for (const char* name : {"usual", "logits", "probabilities", "votes"})
    CHECK(ensemble_rule_name(ensemble_rule_from_name(name)) == name);
  CHECK_THROWS_WITH(ensemble_rule_from_name("vote"), Catch::Contains("votes"));
}
