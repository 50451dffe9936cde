// Merges whose result has other tensors than the models.
#include <fmt/format.h>

#include "harness/checkpoint/adjusted_source.h"
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// The mean of the experts, of what the plan says.
struct Planned {
  static constexpr MethodInfo info{.name = "planned",
                                   .paper = "test",
                                   .summary = "the mean of what is planned",
                                   .needs = {.output = Output::kReshaped},
                                   .elementwise = true};
  static inline OutputPlan (*planner)(const PlanInputs&) = same_tensors;
  void parameters(auto&&) {}
  OutputPlan plan(const PlanInputs& models) const { return planner(models); }
  at::Tensor merge(const TensorJob& part) const {
    at::Tensor sum = part.experts.front().to(at::kFloat, false, /*copy=*/true);
    for (size_t i = 1; i < part.experts.size(); ++i) sum += part.experts[i];
    return sum / static_cast<double>(part.experts.size());
  }
};

/// Two models: "w" of [3, 2], whose rows are 1, 2, 3 and ten times that, and a counter.
MergeInputs two_models() {
  MergeInputs inputs;
  for (const float scale : {1.f, 10.f})
    inputs.experts.push_back(
        source(fmt::format("x{}", scale),
               {{"w", at::tensor({1.f, 1.f, 2.f, 2.f, 3.f, 3.f}).view({3, 2}) * scale},
                {"steps", at::tensor({static_cast<int64_t>(scale)})}}));
  inputs.config = {{"rows", 3}};
  return inputs;
}

StateDict planned(OutputPlan (*planner)(const PlanInputs&), const MergeInputs& inputs,
                  MergeReport* report = nullptr) {
  Planned::planner = planner;
  const Json none = Json::object();
  assay::detail::MethodAdaptor<Planned> method(JsonReader(none, "test"));
  return merge_to_memory(method, inputs, report);
}

at::Tensor rows(const std::vector<float>& values) {
  return at::tensor(values).unsqueeze(1).expand({-1, 2});
}

}  // namespace

TEST_CASE("the plan of the same tensors is the merge without a plan", "[merge]") {
  const MergeInputs inputs = two_models();
  const StateDict merged = planned(same_tensors, inputs);
  CHECK(same_bytes(merged, merge("average", Json::object(), inputs)));
}

TEST_CASE("outputs are made of whole tensors, of rows and of one model's tensors", "[merge]") {
  MergeReport report;
  const StateDict merged = planned(
      [](const PlanInputs& models) {
        OutputPlan plan;
        plan.config = models.config;
        plan.config["rows"] = 2;
        plan.tensors = {
            {.name = "again", .experts = {{.model = 1, .tensor = "w"}}},
            {.name = "mean", .experts = {{.model = 0, .tensor = "w"}, {.model = 1, .tensor = "w"}}},
            {.name = "rows",
             .experts = {{.model = 0, .tensor = "w", .first = 1},
                         {.model = 0, .tensor = "w", .first = 0, .rows = 2}}},
            {.name = "last",
             .experts = {{.model = 1, .tensor = "w", .first = 2, .rows = 1}},
             .copied = true},
            {.name = "count", .experts = {{.model = 1, .tensor = "steps"}}}};
        return plan;
      },
      two_models(), &report);

  REQUIRE(merged.size() == 5);
  CHECK(at::equal(merged.at("again"), rows({10, 20, 30})));
  CHECK(at::equal(merged.at("mean"), rows({5.5, 11, 16.5})));
  CHECK(at::equal(merged.at("rows"), rows({1.5, 2.5})));
  CHECK(at::equal(merged.at("last"), rows({30})));
  CHECK(at::equal(merged.at("count"), at::tensor({int64_t{10}})));
  CHECK(report.config == Json{{"rows", 2}});
}

TEST_CASE("a plan names what the models have", "[merge]") {
  using Views = std::vector<TensorView>;
  static OutputTensor tensor;
  const auto error = [](Views views) -> std::string {
    tensor = {.name = "out", .experts = std::move(views)};
    try {
      planned([](const PlanInputs&) { return OutputPlan{{}, {tensor}}; }, two_models());
    } catch (const DataError& e) {
      return e.what();
    }
    return "no DataError";
  };

  CHECK_THAT(error({{.tensor = "v"}}), Contains("'out'") && Contains("'v', which x1"));
  CHECK_THAT(error({{.tensor = "w", .first = 2, .rows = 2}}),
             Contains("2 rows of 'w' from row 2 on"));
  CHECK_THAT(error({{.tensor = "w", .first = 3}}), Contains("0 rows"));
  CHECK_THAT(error({{.tensor = "w"}, {.tensor = "w", .first = 1}}), Contains("shape [2, 2]"));
  CHECK_THAT(error({{.model = TensorView::kBase, .tensor = "w"}}), Contains("a base"));
  CHECK_THROWS_WITH(planned(
                        [](const PlanInputs&) {
                          return OutputPlan{{}, {tensor, tensor}};
                        },
                        two_models()),
                    Contains("twice"));
  CHECK_THROWS_WITH(planned([](const PlanInputs&) { return OutputPlan{}; }, two_models()),
                    Contains("without a tensor"));
}

TEST_CASE("threads, order and shared caches leave a planned merge alone", "[merge]") {
  MergeInputs inputs;
  for (uint64_t model = 0; model < 2; ++model)
    inputs.experts.push_back(
        source(fmt::format("model {}", model),
               {{"large", noise({1100, 1000}, model)}, {"small", noise({9, 4}, model + 7)}}));
  const auto plan = [](const PlanInputs&) {
    OutputPlan out;
    for (size_t model = 0; model < 2; ++model)
      for (const char* name : {"large", "small"})
        out.tensors.push_back({.name = fmt::format("{}.{}", name, model),
                               .experts = {{.model = model, .tensor = name}}});
    out.tensors.push_back({.name = "tail",
                           .experts = {{.model = 0, .tensor = "large", .first = 5},
                                       {.model = 1, .tensor = "large", .first = 0, .rows = 1095}}});
    return out;
  };
  const StateDict expected = planned(plan, inputs);
  CHECK(distance(expected.at("tail"), (inputs.experts[0]->read("large").narrow(0, 5, 1095) +
                                       inputs.experts[1]->read("large").narrow(0, 0, 1095)) /
                                          2) == 0);
  for (const int threads : {1, 2, 4}) {
    const Threads several(threads);
    CHECK(same_bytes(planned(plan, inputs), expected));
  }
  inputs.order = {"tail", "small.1", "large.0", "small.0", "large.1"};
  CHECK(same_bytes(planned(plan, inputs), expected));
  MergeCache cache;
  inputs.cache = &cache;
  CHECK(same_bytes(planned(plan, inputs), expected));
  CHECK(same_bytes(planned(plan, inputs), expected));
}

TEST_CASE("zeros follow the columns of a matrix", "[merge]") {
  MergeInputs inputs;
  inputs.experts = {
      source("narrow", {{"w", at::tensor({1.f, 2.f, 3.f}).view({3, 1})}}),
      source("wide", {{"w", at::tensor({1.f, 1.f, 2.f, 2.f, 3.f, 3.f}).view({3, 2})}})};
  const StateDict merged = planned(
      [](const PlanInputs& models) {
        OutputPlan plan;
        plan.config = models.config;
        plan.tensors = {
            {"mean", {{0, "w", 0, TensorView::kAll, 2}, {1, "w", 0, TensorView::kAll, 2}}},
            {"rows", {{0, "w", 1, 2, 3}}}};
        return plan;
      },
      inputs);
  CHECK(at::equal(merged.at("mean"), at::tensor({1.f, .5f, 2.f, 1.f, 3.f, 1.5f}).view({3, 2})));
  CHECK(at::equal(merged.at("rows"), at::tensor({2.f, 0.f, 0.f, 3.f, 0.f, 0.f}).view({2, 3})));

  Adjustments adjustments;
  adjustments.views["v"] = {"w", 3, 0, 3};
  const AdjustedSource padded(inputs.experts[1], adjustments);
  const at::Tensor whole = at::tensor({1.f, 1.f, 0.f, 2.f, 2.f, 0.f, 3.f, 3.f, 0.f});
  CHECK(at::equal(padded.read("v"), whole.view({3, 3})));
  for (int64_t first = 0; first < 9; ++first)
    for (int64_t count = 1; first + count <= 9; ++count)
      CHECK(at::equal(padded.read_part("v", first, count), whole.narrow(0, first, count)));
  CHECK(padded.content_hash() != AdjustedSource(inputs.experts[1], {}).content_hash());

  CHECK_THROWS_WITH(planned(
                        [](const PlanInputs& models) {
                          OutputPlan plan;
                          plan.config = models.config;
                          plan.tensors = {{"cut", {{1, "w", 0, TensorView::kAll, 1}}}};
                          return plan;
                        },
                        inputs),
                    Contains("[3, 2]") && Contains("1 columns"));
}
