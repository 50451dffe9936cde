#include "harness/merge/engine/open_tensors.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

OutputPlan plan_of_two() {
  OutputPlan plan;
  for (const char* name : {"fixed", "open"}) {
    OutputTensor& tensor = plan.tensors.emplace_back();
    tensor.name = name;
    tensor.open = tensor.name == "open";
  }
  return plan;
}

const std::vector<TensorInfo> kPlanned{{"fixed", at::kFloat, {4, 3}}, {"open", at::kFloat, {4, 3}}};

}  // namespace

TEST_CASE("a method decides about the rows of its open tensors alone", "[merge]") {
  const OutputPlan plan = plan_of_two();
  const auto layout =
      settled_layout(kPlanned, plan, {{"fixed", at::zeros({2, 3})}, {"open", at::zeros({2, 3})}});
  REQUIRE(layout.size() == 2);
  CHECK(layout[0].shape == std::vector<int64_t>{4, 3});  // the engine refuses what was made for it
  CHECK(layout[1].shape == std::vector<int64_t>{2, 3});

  const auto without = settled_layout(kPlanned, plan, {});
  REQUIRE(without.size() == 1);
  CHECK(without[0].name == "fixed");

  for (const at::Tensor& wrong :
       {at::zeros({5, 3}), at::zeros({2, 4}), at::zeros({3}), at::zeros({})})
    CHECK_THROWS_WITH(settled_layout(kPlanned, plan, {{"open", wrong}}),
                      Contains("at most the shape [4, 3]"));
}
