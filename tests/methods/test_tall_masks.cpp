// TALL masks: per task, and the consensus of several.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const at::Tensor& delta_sum() {
  static const at::Tensor sum = matrix({.3f, -.2f, -.45f, 0, -.5f, .5f, -.39f, .25f});
  return sum;
}

const at::Tensor& tall_mask(size_t expert) {
  static const std::vector<at::Tensor> masks{matrix({1, 1, 0, 0, 1, 1, 0, 1}),
                                             matrix({0, 1, 0, 1, 1, 0, 1, 1}),
                                             matrix({1, 1, 1, 1, 0, 0, 0, 1})};
  return masks.at(expert);
}

at::Tensor task_model(const std::string& ref, const Json& parameters, MergeInputs inputs,
                      size_t expert) {
  inputs.task_expert = expert;
  return merge(ref, parameters, inputs).at("w");
}

at::Tensor consensus(const Json& parameters) {
  return merge("consensus", parameters, golden_delta_inputs()).at("w");
}

}  // namespace

TEST_CASE("G7: the masks of the experts' sum at lambda 0.4", "[methods][golden]") {
  for (size_t i = 0; i < 3; ++i)
    CHECK(distance(task_model("tall_masks", {{"lambda", .4}}, golden_delta_inputs(), i),
                   tall_mask(i) * delta_sum()) < kTolerance);
}

TEST_CASE("G7: the consensus of two masks at scale 0.3", "[methods][golden]") {
  CHECK(distance(merge("consensus", {{"lambda", .4}, {"scale", .3}}, golden_inputs()).at("w"),
                 matrix({1.09f, -2.06f, .5f, 0, .1f, 3, -1, 2.075f})) < kTolerance);
}

TEST_CASE("a consensus of no mask is the plain merge, of all their intersection", "[methods]") {
  CHECK(distance(consensus({{"min_tasks", 0}, {"scale", 1}}), delta_sum()) < kTolerance);
  CHECK(distance(consensus({{"min_tasks", 3}, {"scale", 1}}),
                 tall_mask(0) * tall_mask(1) * tall_mask(2) * delta_sum()) < kTolerance);
  CHECK_THROWS_WITH(consensus({{"min_tasks", 4}}), Contains("'min_tasks'") && Contains("0 to 3"));
}

TEST_CASE("a mask's inequality is strict, and each expert may have a lambda", "[methods]") {
  // Sums 3 and -1, distances from the first expert 2 and 0, from the second 1 and 1.
  const MergeInputs inputs =
      one_tensor_inputs(at::zeros({2}), {at::tensor({1.0f, -1.0f}), at::tensor({2.0f, 0.0f})});
  const auto model = [&](const std::vector<double>& lambdas, size_t expert) {
    return task_model("tall_masks", {{"lambdas", lambdas}}, inputs, expert);
  };

  CHECK(at::equal(model({.5, 2}, 0), at::tensor({0.0f, -1.0f})));
  CHECK(at::equal(model({.49, 2}, 0), at::tensor({3.0f, -1.0f})));
  CHECK(at::equal(model({.5, 2}, 1), at::tensor({0.0f, 0.0f})));
  CHECK(at::equal(model({.5, 0}, 1), at::tensor({3.0f, 0.0f})));  // what did not change is not kept
  CHECK_THROWS_WITH(model({1}, 0), Contains("'lambdas' has 1 entries for 2 experts"));
}

TEST_CASE("masks of TIES' task vector: the sum of agreeing entries", "[methods]") {
  // The golden vector G2, half kept.
  const at::Tensor ties = matrix({.5f, -.4f, -.5f, -.1f, -.8f, .5f, -.4f, .55f});
  const Json parameters{{"density", .5}, {"lambda", 0}, {"min_tasks", 0}, {"scale", 1}};

  CHECK(distance(merge("consensus@ties", parameters, golden_delta_inputs()).at("w"), ties) <
        kTolerance);
  // Distances of the first expert at lambda .4: .04, .12, .212, .04, .24, 0, .164, .34.
  CHECK(distance(task_model("tall_masks@ties", {{"density", .5}, {"lambda", .4}},
                            golden_delta_inputs(), 0),
                 matrix({1, 0, 0, 0, 0, 1, 0, 0}) * ties) < kTolerance);
}

TEST_CASE("the masked model of one expert is that expert", "[methods]") {
  const MergeInputs inputs = one_tensor_inputs(golden_base(), {golden_base() + golden_deltas()[0]});
  CHECK(distance(task_model("tall_masks", Json::object(), inputs, 0),
                 inputs.experts.front()->read("w")) < kTolerance);
}

TEST_CASE("tasks without a mask get the scaled multi-task vector", "[methods]") {
  CHECK(distance(merge("tall_masks", {{"scale", .5}}, golden_delta_inputs()).at("w"),
                 .5f * delta_sum()) < kTolerance);
}

TEST_CASE("a task's share of TALL masks is a bit per element", "[methods]") {
  const auto method = make_method("tall_masks", JsonReader(Json::object(), "test"));
  CHECK(method->task_bytes({{"a", at::kFloat, {3, 3}}, {"b", at::kHalf, {8}}}) == 2 + 1);
}

TEST_CASE("masks come from float32, whatever the dtype of the models", "[methods]") {
  const at::Tensor base = noise({40}, 1).to(at::kBFloat16);
  std::vector<at::Tensor> narrow, wide;
  for (uint64_t i = 2; i < 5; ++i) {
    narrow.push_back((base + .01f * noise({40}, i)).to(at::kBFloat16));
    wide.push_back(narrow.back().to(at::kFloat));
  }
  for (const char* ref : {"consensus", "consensus@ties"})
    CHECK(at::equal(merge(ref, Json::object(), one_tensor_inputs(base, narrow)).at("w"),
                    merge(ref, Json::object(), one_tensor_inputs(base.to(at::kFloat), wide))
                        .at("w")
                        .to(at::kBFloat16)));
}
