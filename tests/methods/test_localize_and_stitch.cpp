#include <c10/core/GradMode.h>

#include "tests/methods/labelled_classifiers.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// The mask of an expert after three steps, by autograd through the masked weights in float64. All
/// entries begin with `bias`.
StateDict learned_mask(const LabelledClassifiers& models, size_t expert, double bias, double rate,
                       double l1) {
  const c10::AutoGradMode with_gradients(true);
  const StateDict base = doubled(models.base), own = doubled(models.experts[expert]);
  StateDict masks;
  for (const auto& [name, tensor] : base) masks[name] = at::full_like(tensor, bias);
  for (int epoch = 0; epoch < 3; ++epoch) {
    StateDict weights;
    at::Tensor loss = at::zeros({}, at::kDouble);
    for (auto& [name, mask] : masks) {
      mask = mask.detach().requires_grad_(true);
      weights[name] = base.at(name) + mask.sigmoid() * (own.at(name) - base.at(name));
      loss = loss + l1 / rate * mask.sigmoid().sum();
    }
    (loss + at::cross_entropy_loss(LabelledClassifiers::logits(weights, expert, 0, kAllExamples),
                                   LabelledClassifiers::classes(expert)))
        .backward();
    for (auto& [unused, mask] : masks) mask = mask.detach() - rate * mask.grad();
  }
  return masks;
}

}  // namespace

TEST_CASE("without data, the largest entries of task vectors are averaged", "[methods]") {
  const Json parameters{{"sparsity", .5}, {"epochs", 0}};  // four entries of each
  const StateDict merged = merge("localize_and_stitch", parameters, golden_delta_inputs());

  CHECK(distance(merged.at("w"), matrix({.4f, (-.3f + .2f) / 2, -.5f, 0, (-.2f - .6f + .3f) / 3,
                                         .5f, -.4f, (-.3f + .3f + .25f) / 3})) < 1e-6);
}

TEST_CASE("masks are learned as by autograd through the masked weights", "[methods]") {
  const LabelledClassifiers models;
  const int64_t batch =
      GENERATE(as<int64_t>(), 20, 7);  // 7, 7 and 6 examples count as one pass over 20
  const double bias = .5, rate = 20, l1 = .8;
  StateDict sums, counts;
  for (size_t i = 0; i < 2; ++i)
    for (const auto& [name, mask] : learned_mask(models, i, bias, rate, l1)) {
      const at::Tensor kept = (mask > 0).to(at::kDouble);
      const at::Tensor part = kept * (models.experts[i].at(name) - models.base.at(name));
      sums[name] = i == 0 ? part : sums[name] + part;
      counts[name] = i == 0 ? kept : counts[name] + kept;
    }
  const Json parameters{{"sparsity", 1}, {"bias", bias}, {"learning_rate", rate},
                        {"l1", l1},      {"epochs", 3},  {"batch", batch}};
  MergeReport report;
  const StateDict merged = merge("localize_and_stitch", parameters, models.inputs, &report);

  for (const auto& [name, tensor] : merged) {
    CAPTURE(name);
    CHECK(distance(tensor, models.base.at(name) + sums[name] / counts[name].clamp_min(1)) < 1e-5);
  }
  CHECK(report.diagnostics.at("kept") > .1);
  CHECK(report.diagnostics.at("kept") < .9);
}

TEST_CASE("the released penalty drives masks away from zero", "[methods]") {
  const LabelledClassifiers models;
  // What the network does not use has the penalty alone.
  const Json parameters{{"sparsity", 1}, {"bias", .1}, {"l1", 10}, {"epochs", 2}};
  const auto kept = [&](const std::string& method) {
    return merge(method, parameters, models.inputs).at("z");
  };

  CHECK(distance(kept("localize_and_stitch"), models.base.at("z")) == 0);
  CHECK(distance(kept("localize_and_stitch@released"),
                 (models.experts[0].at("z") + models.experts[1].at("z")) / 2) < 1e-6);
}

TEST_CASE("localising without data needs none", "[methods]") {
  const auto needs = [](const Json& parameters) {
    return make_method("localize_and_stitch", JsonReader(parameters, "test"))->needs();
  };
  CHECK(needs(Json::object()).gradients);
  CHECK(!needs({{"epochs", 0}}).gradients);
  CHECK(!needs({{"epochs", 0}}).calibration_inputs);
}
