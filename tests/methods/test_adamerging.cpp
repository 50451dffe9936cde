#include <c10/core/GradMode.h>
#include <torch/optim/adam.h>

#include "harness/core/cost.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr int64_t kPerExpert = 20;

at::Tensor examples_of(size_t expert) { return noise({kPerExpert, 4}, 50 + expert); }

at::Tensor linear_logits(const StateDict& weights, size_t expert, int64_t first, int64_t count) {
  return at::linear(examples_of(expert).narrow(0, first, count), weights.at("w"), weights.at("b"));
}

/// A linear classifier, two experts of it, and a tensor that the network does not use.
struct Classifier {
  FakeEvidence evidence;
  MergeInputs inputs;

  explicit Classifier(const FakeNetwork::Logits& logits = linear_logits) {
    evidence.of_network =
        std::make_shared<FakeNetwork>(std::vector<int64_t>{kPerExpert, kPerExpert}, logits);
    inputs.evidence = &evidence;
    inputs.base = source("base", model(1));
    inputs.experts = {source("one", model(2)), source("two", model(3))};
  }
  static StateDict model(uint64_t key) {
    return {{"w", noise({3, 4}, key)}, {"b", noise({3}, 10 + key)}, {"z", noise({2}, 20 + key)}};
  }
};

/// The same by autograd through the merged weights, in float64.
StateDict adamerging_reference(const Classifier& classifier, bool task_wise, int64_t steps,
                               int64_t batch) {
  const c10::AutoGradMode with_gradients(true);
  StateDict base, merged;
  std::vector<StateDict> vectors(2);
  std::map<std::string, int64_t> column;
  for (const TensorInfo& info : classifier.inputs.base->tensors()) {
    base[info.name] = classifier.inputs.base->read(info.name).to(at::kDouble);
    column[info.name] = task_wise ? 0 : static_cast<int64_t>(column.size());
    for (size_t i = 0; i < 2; ++i)
      vectors[i][info.name] =
          classifier.inputs.experts[i]->read(info.name).to(at::kDouble) - base[info.name];
  }
  at::Tensor raw = at::full({2, task_wise ? 1 : 3}, .3, at::kDouble).requires_grad_(true);
  const auto combine = [&] {
    const at::Tensor clamped = raw.clamp(0, 1);
    for (const auto& [name, tensor] : base)
      merged[name] = tensor + clamped[0][column[name]] * vectors[0][name] +
                     clamped[1][column[name]] * vectors[1][name];
  };
  torch::optim::Adam adam({raw}, torch::optim::AdamOptions(.05));
  for (int64_t step = 0; step < steps; ++step) {
    combine();
    at::Tensor loss = at::zeros({}, at::kDouble);
    for (size_t i = 0; i < 2; ++i) {
      const int64_t batches = (kPerExpert + batch - 1) / batch, first = step % batches * batch;
      const at::Tensor x =
          examples_of(i).to(at::kDouble).narrow(0, first, std::min(batch, kPerExpert - first));
      const at::Tensor p = at::softmax(at::linear(x, merged["w"], merged["b"]), 1);
      loss = loss - (p * p.log()).sum(1).mean();
    }
    adam.zero_grad();
    loss.backward();
    adam.step();
  }
  combine();
  for (auto& [unused, tensor] : merged) tensor = tensor.detach();
  return merged;
}

}  // namespace

TEST_CASE("AdaMerging without a step is task arithmetic", "[methods]") {
  const Classifier classifier;

  CHECK(model_distance(merge("adamerging", {{"steps", 0}, {"init", .4}}, classifier.inputs),
                       merge("task_arithmetic", {{"scale", .4}}, classifier.inputs)) < 1e-6);
}

TEST_CASE("AdaMerging descends as autograd does through the merged weights", "[methods]") {
  const Classifier classifier;
  const bool task_wise = GENERATE(true, false);
  const Json parameters{{"granularity", task_wise ? "task" : "tensor"},
                        {"steps", 30},
                        {"batch", 8},  // batches of 8, 8 and 4 examples
                        {"learning_rate", .05}};

  // Thirty steps of 0.05: some coefficients come to 0 or 1, where they are clamped.
  CHECK(model_distance(merge("adamerging", parameters, classifier.inputs),
                       adamerging_reference(classifier, task_wise, 30, 8)) < 1e-4);
}

TEST_CASE("AdaMerging makes the model surer of its predictions", "[methods]") {
  const Classifier classifier;
  MergeReport report;
  const int64_t before = counters::gradient_steps;
  const StateDict merged =
      merge("adamerging", {{"steps", 100}, {"learning_rate", .01}}, classifier.inputs, &report);

  CHECK(report.diagnostics.at("entropy_last") < report.diagnostics.at("entropy_first"));
  CHECK(counters::gradient_steps - before == 100);
  // No gradient reaches what the network does not use.
  CHECK(testing::distance(merged.at("z"),
                          merge("task_arithmetic", {{"scale", .3}}, classifier.inputs).at("z")) <
        1e-6);
}

TEST_CASE("AdaMerging goes over the examples in order, again and again", "[methods]") {
  std::vector<std::vector<int64_t>> seen;
  const Classifier classifier(
      [&](const StateDict& weights, size_t expert, int64_t first, int64_t count) {
        seen.push_back({static_cast<int64_t>(expert), first, count});
        return linear_logits(weights, expert, first, count);
      });
  merge("adamerging", {{"steps", 3}}, classifier.inputs);

  CHECK(seen == std::vector<std::vector<int64_t>>{
                    {0, 0, 16}, {1, 0, 16}, {0, 16, 4}, {1, 16, 4}, {0, 0, 16}, {1, 0, 16}});
}

TEST_CASE("AdaMerging++ takes the vectors that TIES sums", "[methods]") {
  MergeInputs inputs = golden_delta_inputs();
  const FakeEvidence evidence;
  inputs.evidence = &evidence;
  const Json ties{{"density", .5}, {"reduce", "sum_agree"}};

  CHECK(testing::distance(
            merge("adamerging", {{"steps", 0}, {"init", 1}, {"vectors", "ties"}, {"density", .5}},
                  inputs)
                .at("w"),
            merge("ties", ties, inputs).at("w")) < 1e-6);
}

TEST_CASE("AdaMerging gives the same bytes on any number of threads", "[methods]") {
  const auto logits = [](const StateDict& weights, size_t, int64_t first, int64_t count) {
    static const at::Tensor x = noise({kPerExpert, 300}, 1);
    return at::linear(at::linear(x.narrow(0, first, count), weights.at("w")).relu(),
                      weights.at("v"));
  };
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<FakeNetwork>(std::vector<int64_t>(2, kPerExpert), logits);
  MergeInputs inputs;
  inputs.evidence = &evidence;
  const auto model = [](uint64_t key) {
    return source("model", {{"w", noise({400, 300}, key)}, {"v", noise({10, 400}, 10 + key)}});
  };
  inputs.base = model(1);
  inputs.experts = {model(2), model(3)};

  StateDict expected;
  for (const int threads : {1, 2, 4}) {
    const Threads several(threads);
    const StateDict merged = merge("adamerging", {{"steps", 5}}, inputs);
    if (expected.empty()) expected = merged;
    CHECK(same_bytes(merged, expected));
  }
}
