// Expert Merging: sigmoid coefficients that imitate scores and hidden states.
#include <c10/core/GradMode.h>
#include <torch/optim/adamw.h>

#include <cmath>
#include <numbers>

#include "harness/method/hidden_states.h"
#include "tests/conformance/networks.h"
#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr int64_t kClassifierExamples = LabelledClassifiers::kExamples;
constexpr double kInit = .1;

/// Three blocks' states, of which the first is what the examples are.
std::vector<at::Tensor> states_of(const StateDict& weights, size_t expert, int64_t first,
                                  int64_t count) {
  const at::Tensor x =
      LabelledClassifiers::examples(expert).narrow(0, first, count).to(weights.at("n").dtype());
  return {x, x * weights.at("n"), (x * weights.at("n")).tanh()};
}

class StatesClassifier : public FakeNetwork, public StatesNetwork {
 public:
  StatesClassifier()
      : FakeNetwork(std::vector<int64_t>(2, kClassifierExamples), LabelledClassifiers::logits) {}
  at::Tensor logits_and_states(const StateDict& weights, size_t expert, int64_t first,
                               int64_t count, std::vector<at::Tensor>& states) const override {
    states = states_of(weights, expert, first, count);
    return logits(weights, expert, first, count);
  }
};

struct Settings {
  int64_t steps, batch;
  double rate, hidden;
  bool restarts;
};

/// The learning rate falls from the start to a tenth in 50 steps, and again in 100.
double rate_at(const Settings& settings, int64_t step) {
  if (!settings.restarts) return settings.rate;
  const double part =
      step < 50 ? static_cast<double>(step) / 50 : static_cast<double>(step - 50) / 100;
  return settings.rate * (.1 + .45 * (1 + std::cos(std::numbers::pi * part)));
}

/// By autograd, in float64, without the tensor "b".
StateDict expert_merging_reference(const LabelledClassifiers& models, const Settings& settings) {
  const c10::AutoGradMode with_gradients(true);
  StateDict raw;
  std::vector<at::Tensor> learned;
  const StateDict base = doubled(models.base);
  const std::vector<StateDict> experts{doubled(models.experts[0]), doubled(models.experts[1])};
  for (const auto& [name, unused] : base) {
    if (name == "b") continue;
    raw[name] = at::full({2, 1}, kInit, at::kDouble).logit().requires_grad_(true);
    learned.push_back(raw[name]);
  }
  const at::Tensor start = at::full({2, 1}, kInit, at::kDouble).logit().sigmoid();
  const auto combine = [&] {
    StateDict merged = base;
    for (const auto& [name, values] : raw)
      for (int64_t i = 0; i < 2; ++i)
        merged[name] =
            merged[name] +
            values.sigmoid()[i][0] * (experts[static_cast<size_t>(i)].at(name) - base.at(name));
    return merged;
  };
  torch::optim::AdamW adam(learned, torch::optim::AdamWOptions(settings.rate).weight_decay(1e-5));
  for (int64_t step = 0; step < settings.steps; ++step) {
    const StateDict merged = combine();
    const int64_t first = step % (kClassifierExamples / settings.batch) * settings.batch;
    at::Tensor loss = at::zeros({}, at::kDouble);
    for (size_t i = 0; i < 2; ++i) {
      const at::Tensor q =
          LabelledClassifiers::logits(merged, i, first, settings.batch).div(3).log_softmax(1);
      const at::Tensor p =
          LabelledClassifiers::logits(experts[i], i, first, settings.batch).div(3).softmax(1);
      loss = loss + 9 * (p * (p.log() - q)).sum(1).mean() / 2;
      const auto found = states_of(merged, i, first, settings.batch);
      const auto wanted = states_of(experts[i], i, first, settings.batch);
      for (size_t k = 1; k < 3; ++k)
        loss = loss + settings.hidden * at::mse_loss(found[k], wanted[k]) / 2 / 2;
    }
    // Three learned tensors, with one coefficient of each expert.
    for (const auto& [unused, values] : raw)
      loss = loss + .1 * (values.sigmoid() - start).abs().sum() / 3;
    adam.zero_grad();
    loss.backward();
    for (torch::optim::OptimizerParamGroup& group : adam.param_groups())
      group.options().set_lr(rate_at(settings, step));
    adam.step();
  }
  StateDict merged = combine();
  for (auto& [unused, tensor] : merged) tensor = tensor.detach();
  return merged;
}

}  // namespace

TEST_CASE("Expert Merging without a step is task arithmetic of what is not excluded",
          "[methods][unlabelled]") {
  const LabelledClassifiers models;
  const StateDict expected = merge("task_arithmetic", {{"scale", .2}}, models.inputs);
  const Json none{{"epochs", 0}, {"init", .2}, {"exclude", Json::array()}};
  CHECK(model_distance(merge("expert_merging", none, models.inputs), expected) < 1e-6);

  const Json some{{"epochs", 0}, {"init", .2}, {"exclude", Json::array({"w", "z"})}};
  const StateDict merged = merge("expert_merging", some, models.inputs);
  for (const auto& [name, tensor] : merged)
    CHECK(distance(tensor, name == "w" || name == "z" ? models.base.at(name) : expected.at(name)) <
          1e-6);
}

TEST_CASE("Expert Merging descends as autograd does", "[methods][unlabelled]") {
  LabelledClassifiers models;
  models.evidence.of_network = std::make_shared<StatesClassifier>();
  const bool restarts = GENERATE(false, true);
  const bool with_states = GENERATE(false, true);
  // Sixty steps: the learning rate starts again in the fifty-first.
  const Settings settings{60, 2, .02, with_states ? .5 : 0, restarts};
  const Json parameters{{"epochs", 6},
                        {"batch", settings.batch},
                        {"learning_rate", settings.rate},
                        {"hidden", settings.hidden},
                        {"schedule", restarts ? "restarts" : "constant"},
                        {"clip_norm", 0},
                        {"exclude", Json::array({"b"})}};
  MergeReport report;
  const StateDict merged = merge("expert_merging", parameters, models.inputs, &report);

  CHECK(model_distance(merged, expert_merging_reference(models, settings)) < 1e-4);
  CHECK(report.diagnostics.at("loss_last").get<double>() <
        report.diagnostics.at("loss_first").get<double>());
}

TEST_CASE("Expert Merging looks at scores alone where a network shows no states",
          "[methods][unlabelled]") {
  const LabelledClassifiers plain;
  LabelledClassifiers shown;
  shown.evidence.of_network = std::make_shared<StatesClassifier>();
  const StateDict without = merge("expert_merging", {{"hidden", .5}}, plain.inputs);
  CHECK(same_bytes(without, merge("expert_merging", {{"hidden", 0}}, shown.inputs)));
  CHECK(!same_bytes(without, merge("expert_merging", {{"hidden", .5}}, shown.inputs)));
}

TEST_CASE("one expert is what Expert Merging comes to", "[methods][unlabelled]") {
  LabelledClassifiers models(1);
  const Json parameters{{"epochs", 40},
                        {"learning_rate", .2},
                        {"exclude", Json::array()},
                        {"regularization", 0},
                        {"schedule", "constant"}};
  const StateDict merged = merge("expert_merging", parameters, models.inputs);
  // Coefficients go from 0.1 to 1, which a sigmoid does not reach.
  for (const char* name : {"w", "b", "n"}) {
    const double before = distance(models.base.at(name), models.experts[0].at(name));
    CAPTURE(name);
    CHECK(distance(merged.at(name), models.experts[0].at(name)) < .2 * before);
  }
}

TEST_CASE("a network gives its scores and what its blocks read", "[methods][unlabelled]") {
  const c10::AutoGradMode with_gradients(true);
  const Networks networks = decoders();
  const NetworkEvidence evidence(networks);
  const Network& network = evidence.get().network();
  std::vector<at::Tensor> alone, padded;
  constexpr const char* kEmbedding = "model.embed_tokens.weight";
  const StateDict weights{
      {kEmbedding, networks.base->read(kEmbedding).to(at::kFloat).requires_grad_(true)}};
  const at::Tensor scores = logits_and_states(network, weights, 2, 1, 1, alone);
  CHECK(distance(scores, network.logits(weights, 2, 1, 1)) < 1e-6);
  logits_and_states(network, weights, 2, 0, 3, padded);
  REQUIRE(alone.size() == 2);
  REQUIRE(padded.size() == 2);
  using Hidden = HiddenStates;
  const auto means =
      hidden_states(network).states(2, 1, 1, Hidden::Tap::kBlockInput, Hidden::Tokens::kAll);
  for (size_t i = 0; i < 2; ++i)
    CHECK(distance(alone[i].detach().to(at::kDouble).mean(0), means[i][0]) < 1e-6);
  // Tokens that do not count are left out.
  int64_t counted = 0;
  for (int64_t example = 0; example < 3; ++example) {
    std::vector<at::Tensor> one;
    logits_and_states(network, weights, 2, example, 1, one);
    counted += one[0].size(0);
  }
  CHECK(padded[0].size(0) == counted);
  alone[1].sum().backward();
  CHECK(weights.at(kEmbedding).grad().abs().max().item<double>() > 0);

  std::vector<at::Tensor> none;
  const Networks cnns = small_cnns();
  const NetworkEvidence of_cnns(cnns);
  logits_and_states(of_cnns.get().network(), {}, 0, 0, 2, none);
  CHECK(none.empty());
}
