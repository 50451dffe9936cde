// EMR-Merging: the shared part, and the task models for the experts' tasks.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

StateDict emr_model(MergeInputs inputs, size_t expert) {
  inputs.task_expert = expert;
  return merge("emr", Json::object(), inputs);
}

const at::Tensor& unified() {
  static const at::Tensor values = matrix({.4f, -.3f, -.5f, -.1f, -.6f, .5f, -.4f, .3f});
  return values;
}

const at::Tensor& emr_mask(size_t expert) {
  static const std::vector<at::Tensor> masks{matrix({1, 1, 0, 0, 1, 1, 0, 0}),
                                             matrix({0, 1, 0, 0, 1, 1, 1, 1}),
                                             matrix({1, 0, 1, 1, 0, 0, 0, 1})};
  return masks.at(expert);
}

}  // namespace

TEST_CASE("G7: EMR's unified task vector, masks and rescalers", "[methods][golden]") {
  constexpr double kRescalers[] = {.8555555556, .9380952381, 1.1538461538};
  CHECK(at::equal(merge("emr", Json::object(), golden_delta_inputs()).at("w"), unified()));

  for (size_t i = 0; i < 3; ++i)
    CHECK(distance(emr_model(golden_delta_inputs(), i).at("w"),
                   kRescalers[i] * emr_mask(i) * unified()) < kTolerance);
}

TEST_CASE("G7: EMR's rescalers are ratios of sums of tensors' means", "[methods][golden]") {
  constexpr double kRescalers[] = {.7956521739, 1.3484848485, .9622641509};
  MergeInputs inputs;
  inputs.base = source("base", {{"a", at::zeros({2, 4})}, {"b", at::zeros({4})}});
  for (const at::Tensor& delta : golden_deltas())
    inputs.experts.push_back(source("expert", {{"a", delta}, {"b", 2 * delta[0]}}));

  for (size_t i = 0; i < 3; ++i) {
    const StateDict made = emr_model(inputs, i);
    CHECK(distance(made.at("a"), kRescalers[i] * emr_mask(i) * unified()) < kTolerance);
    CHECK(distance(made.at("b"), kRescalers[i] * (emr_mask(i) * unified())[0] * 2) < kTolerance);
  }
}

TEST_CASE("EMR of one expert is that expert", "[methods]") {
  const MergeInputs inputs = one_tensor_inputs(golden_base(), {golden_base() + golden_deltas()[0]});
  const at::Tensor expert = inputs.experts.front()->read("w");

  CHECK(distance(emr_model(inputs, 0).at("w"), expert) < kTolerance);
  CHECK(distance(merge("emr", Json::object(), inputs).at("w"), expert) < kTolerance);
}

TEST_CASE("EMR masks deltas whose products are too small for float32", "[methods]") {
  const at::Tensor tiny = at::full({3}, 1e-30f);
  const MergeInputs inputs = one_tensor_inputs(at::zeros({3}), {tiny, 2 * tiny});
  CHECK(at::allclose(emr_model(inputs, 0).at("w"), tiny, 1e-6, 0));
}

TEST_CASE("EMR gives the base where an expert agrees with nothing", "[methods]") {
  const at::Tensor up = at::ones({3}), down = at::full({3}, -.5f);
  const MergeInputs inputs = one_tensor_inputs(golden_base()[0].narrow(0, 0, 3), {});
  MergeInputs both = inputs;
  for (const at::Tensor& delta : {up, down})
    both.experts.push_back(source("expert", {{"w", inputs.base->read("w") + delta}}));

  CHECK(at::equal(emr_model(both, 1).at("w"), inputs.base->read("w")));
}

TEST_CASE("EMR's task models are the same with what a cache holds, and cost less", "[methods]") {
  MergeCache cache(int64_t{1} << 20, int64_t{1} << 20);
  for (const std::optional<size_t> expert : {std::optional<size_t>(), {0}, {1}, {2}}) {
    MergeInputs alone = golden_inputs(), cached = alone;
    alone.task_expert = cached.task_expert = expert;
    cached.cache = &cache;
    MergeReport report;
    CHECK(same_bytes(merge("emr", Json::object(), cached, &report),
                     merge("emr", Json::object(), alone)));
    CHECK(report.shared.has_value() == expert.has_value());
  }
}

TEST_CASE("a task's share of EMR is a bit per element and the rescaler", "[methods]") {
  const auto emr = make_method("emr", JsonReader(Json::object(), "test"));
  CHECK(emr->has_task_outputs());
  CHECK(emr->task_bytes({{"a", at::kFloat, {3, 3}}, {"b", at::kHalf, {8}}}) == 2 + 1 + 4);
}

TEST_CASE("a task model that a merge does not have is refused", "[merge]") {
  MergeInputs inputs = golden_inputs();
  inputs.task_expert = 3;
  CHECK_THROWS_WITH(merge("emr", Json::object(), inputs), Contains("experts 0 to 2"));
  inputs.task_expert = 0;
  CHECK_THROWS_WITH(merge("average", Json::object(), inputs),
                    Contains("average makes one model for all tasks"));
}
