#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include "harness/core/error.h"
#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Puts the experts' scores into the evidence, as the statistic has them: the highest `kept`.
void add_expert_scores(LabelledClassifiers& models, int64_t kept) {
  for (size_t i = 0; i < models.experts.size(); ++i) {
    const auto [scores, classes] =
        LabelledClassifiers::logits(models.experts[i], i, 0, kAllExamples).topk(kept, 1);
    models.evidence.statistics["expert_logits"].push_back(
        {{"scores", scores},
         {"classes", classes.to(at::kInt)},
         {"first_rows", at::arange(kAllExamples + 1, at::kLong)}});
  }
}

Json live(Json parameters = Json::object()) {
  parameters["targets"] = "live";
  return parameters;
}

/// DAM of two experts by autograd in float64: coefficients of the layer's columns, of its bias, of
/// the norm, and of what the network does not use, which is penalised all the same.
struct Reference {
  std::vector<at::Tensor> raw{at::full({2, 4}, .5, at::kDouble), at::full({2, 1}, .5, at::kDouble),
                              at::full({2, 4}, .5, at::kDouble), at::full({2, 2}, .5, at::kDouble)};
  std::vector<StateDict> experts;
  StateDict base;

  explicit Reference(const LabelledClassifiers& models)
      : experts{doubled(models.experts[0]), doubled(models.experts[1])},
        base(doubled(models.base)) {
    for (at::Tensor& tensor : raw) tensor.requires_grad_(true);
  }

  StateDict weights() const {
    StateDict merged;
    const std::vector<std::string> names{"w", "b", "n", "z"};
    for (size_t k = 0; k < names.size(); ++k)
      merged[names[k]] = raw[k][0] * experts[0].at(names[k]) + raw[k][1] * experts[1].at(names[k]);
    return merged;
  }

  at::Tensor imitation(int64_t first, int64_t count) const {
    const double t = 1.5;
    at::Tensor sum = at::zeros({}, at::kDouble);
    for (size_t i = 0; i < 2; ++i) {
      const at::Tensor own = LabelledClassifiers::logits(experts[i], i, first, count);
      const at::Tensor merged = LabelledClassifiers::logits(weights(), i, first, count);
      const at::Tensor p = (own / t).softmax(1), q = (merged / t).softmax(1);
      sum = sum + t * t * (p * (p.log() - q.log())).sum(1).mean();
      sum = sum + .3 * (merged - own).square().mean();
      sum = sum - .2 * t * t * (q * q.log()).sum(1).mean();
    }
    return sum;
  }

  /// Not of the bias.
  at::Tensor penalty() const {
    at::Tensor sum = at::zeros({}, at::kDouble);
    for (const size_t k : {0, 2, 3}) {
      const at::Tensor &a = raw[k][0], &b = raw[k][1];
      sum = sum + .4 * (a * b).sum() / (a.norm() * b.norm());
      sum = sum + .02 * (a.abs().sum() + b.abs().sum()) + .03 * (a.norm() + b.norm());
      sum = sum + .05 * at::min(a.abs(), b.abs()).sum();
    }
    const at::Tensor one = experts[0].at("w") - base.at("w"),
                     two = experts[1].at("w") - base.at("w");
    const at::Tensor angle = ((one * two).sum(0) / (one.norm(2, 0) * two.norm(2, 0))).acos();
    return sum +
           .06 * (at::min(raw[0][0].abs(), raw[0][1].abs()) * (2 * angle).sin().square()).sum();
  }
};

}  // namespace

TEST_CASE("DAM without a step is the mean, and with the released code adds biases",
          "[methods][pitfall-9]") {
  const LabelledClassifiers models;
  const StateDict mean = merge("average", Json::object(), models.inputs);

  CHECK(model_distance(merge("dam", live({{"epochs", 0}}), models.inputs), mean) < 1e-6);
  const StateDict released = merge("dam@released", {{"epochs", 0}}, models.inputs);
  CHECK(distance(released.at("b"), 2 * mean.at("b")) < 1e-6);
  CHECK(distance(released.at("w"), mean.at("w")) < 1e-6);
}

TEST_CASE("DAM of one expert is that expert", "[methods]") {
  const LabelledClassifiers models(1);
  const Json parameters = live({{"epochs", 3}, {"embeddings", true}, {"norms", true}});

  CHECK(same_bytes(merge("dam", parameters, models.inputs), models.experts[0]));
}

TEST_CASE("DAM descends as autograd does, with every term of its loss", "[methods]") {
  const c10::AutoGradMode with_gradients(true);
  LabelledClassifiers models;
  add_expert_scores(models, 3);
  Reference reference(models);
  torch::optim::AdamW adam(reference.raw, torch::optim::AdamWOptions(.02).weight_decay(.1));
  constexpr int64_t kSteps = 12;
  for (int64_t step = 0; step < kSteps; ++step) {  // 4 epochs of 8, 8 and 4 examples
    const int64_t first = step % 3 * 8;
    adam.zero_grad();
    (reference.imitation(first, std::min<int64_t>(8, kAllExamples - first)) + reference.penalty())
        .backward();
    torch::nn::utils::clip_grad_norm_(reference.raw, .5);
    // 3 steps of warm-up, and a fall to 0.
    const auto now = static_cast<double>(step);
    adam.param_groups().front().options().set_lr(.02 * (step < 3 ? now / 3 : (12 - now) / 9));
    adam.step();
  }
  const c10::NoGradGuard no_gradients;
  const Json parameters{{"targets", GENERATE("cached", "live")},
                        {"epochs", 4},
                        {"batch", 8},
                        {"norms", true},
                        {"temperature", 1.5},
                        {"mse", .3},
                        {"entropy", .2},
                        {"similarity", .4},
                        {"l1", .02},
                        {"l2", .03},
                        {"overlap", .05},
                        {"weighted_overlap", .06},
                        {"learning_rate", .02},
                        {"weight_decay", .1},
                        {"schedule", "linear"},
                        {"warmup", .25},
                        {"clip_norm", .5},
                        {"mofo", 1}};

  const StateDict merged = merge("dam", parameters, models.inputs);

  for (const auto& [name, tensor] : reference.weights()) {
    CAPTURE(name);
    CHECK(distance(merged.at(name), tensor) < 1e-4);
  }
  CHECK(model_distance(merged, merge("average", Json::object(), models.inputs)) > .02);
}

TEST_CASE("DAM comes closer to the experts' predictions", "[methods]") {
  LabelledClassifiers models;
  add_expert_scores(models, 2);
  MergeReport report;
  merge("dam", {{"epochs", 20}, {"top_k", 2}, {"learning_rate", .01}}, models.inputs, &report);

  CHECK(report.diagnostics.at("loss_last") < report.diagnostics.at("loss_first"));
}

TEST_CASE("DAM compares with an expert's highest scores, cached or live", "[methods]") {
  LabelledClassifiers models;
  add_expert_scores(models, 2);
  const StateDict cached = merge("dam", {{"top_k", 2}}, models.inputs);

  CHECK(model_distance(cached, merge("dam", live({{"top_k", 2}}), models.inputs)) < 1e-5);
  CHECK(model_distance(cached, merge("dam", live({{"top_k", 0}}), models.inputs)) > 1e-4);
}

TEST_CASE("DAM averages norms and embeddings unless it is told otherwise", "[methods]") {
  const LabelledClassifiers models;
  const StateDict mean = merge("average", Json::object(), models.inputs);
  const StateDict merged = merge("dam", live(), models.inputs);

  CHECK(distance(merged.at("n"), mean.at("n")) < 1e-6);
  CHECK(distance(merged.at("w"), mean.at("w")) > 1e-3);
  CHECK(distance(merge("dam", live({{"norms", true}}), models.inputs).at("n"), mean.at("n")) >
        1e-3);
}

TEST_CASE("DAM's columns are the inputs, however a weight is stored", "[methods]") {
  LabelledClassifiers models, stored;
  stored.evidence.layers["w"].in_out = true;
  stored.evidence.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>(2, kAllExamples),
      [](StateDict weights, size_t expert, int64_t first, int64_t count) {
        weights["w"] = weights["w"].t();
        return LabelledClassifiers::logits(weights, expert, first, count);
      });
  for (size_t i = 0; i < 2; ++i) {
    StateDict expert = models.experts[i];
    expert["w"] = expert["w"].t().contiguous();
    stored.inputs.experts[i] = source("transposed", expert);
  }
  stored.inputs.base = nullptr;
  models.inputs.base = nullptr;

  CHECK(distance(merge("dam", live(), stored.inputs).at("w").t(),
                 merge("dam", live(), models.inputs).at("w")) < 1e-5);
}

TEST_CASE("DAM takes the base as one more expert", "[methods]") {
  const LabelledClassifiers models;
  const StateDict merged = merge("dam", live({{"epochs", 0}, {"use_base", true}}), models.inputs);

  CHECK(distance(merged.at("w"),
                 (models.base.at("w") + models.experts[0].at("w") + models.experts[1].at("w")) /
                     3) < 1e-6);
}

TEST_CASE("DAM refuses scores of other examples", "[methods]") {
  LabelledClassifiers models;
  add_expert_scores(models, 3);
  models.evidence.statistics["expert_logits"][1]["first_rows"] = at::arange(8, at::kLong);

  CHECK_THROWS_WITH(merge("dam", Json::object(), models.inputs),
                    Contains("the scores of 7 examples, but the calibration data have 20"));
}
