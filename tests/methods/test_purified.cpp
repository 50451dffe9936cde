// PAVE and CAT Merging: directions of layers are removed before task vectors are merged.
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;

namespace {

at::Tensor axes(float a, float b) { return at::diag(at::tensor({a, b})); }

at::Tensor merged_layer(const std::string& ref, const Json& parameters, const at::Tensor& base,
                        const std::vector<at::Tensor>& deltas,
                        const std::vector<at::Tensor>& grams) {
  FakeEvidence evidence;
  evidence.add_linear("w", base.size(1));
  for (const at::Tensor& gram : grams)
    evidence.statistics["input_gram"].push_back(gram.defined() ? StateDict{{"w", gram}}
                                                               : StateDict());
  std::vector<at::Tensor> experts;
  for (const at::Tensor& delta : deltas) experts.push_back(base + delta);
  MergeInputs inputs = one_tensor_inputs(base, experts);
  inputs.evidence = &evidence;
  return merge(ref, parameters, inputs).at("w");
}

const Json kPlainSum{{"method", "task_arithmetic"}, {"scale", 1}};

}  // namespace

TEST_CASE("PAVE keeps the directions that the data use", "[methods]") {
  const auto purified = [](double keep, const at::Tensor& gram) {
    return merged_layer("pave", {{"keep", keep}, {"of", kPlainSum}}, at::zeros({2, 2}),
                        {axes(3, 2)}, {gram});
  };
  CHECK(distance(purified(.5, axes(1, 10)), axes(0, 2)) < 1e-6);
  CHECK(distance(purified(.5, axes(1, 1)), axes(3, 0)) < 1e-6);
  CHECK(distance(purified(.51, axes(1, 10)), axes(3, 2)) < 1e-6);
  CHECK(distance(purified(1, axes(1, 10)), axes(3, 2)) < 1e-6);
  // Without a token the weight alone decides.
  CHECK(distance(purified(.5, {}), axes(3, 0)) < 1e-6);
}

TEST_CASE("PAVE's cut is that of the weighted matrix, multiplied by the inverse", "[methods]") {
  const at::Tensor x = noise({50, 6}, 1).to(at::kDouble), gram = x.t().mm(x) / 50;
  const at::Tensor base = noise({8, 6}, 2), delta = .3f * noise({8, 6}, 3);
  // With the ridge that the method adds.
  const at::Tensor whole =
      gram.to(at::kFloat).to(at::kDouble) + 1e-6 * gram.diagonal().mean() * at::eye(6, at::kDouble);
  const auto [u, s, vt] = at::linalg_svd((base + delta).to(at::kDouble).mm(whole), false);
  const at::Tensor expected =
      (u.narrow(1, 0, 4) * s.narrow(0, 0, 4)).mm(vt.narrow(0, 0, 4)).mm(at::linalg_inv(whole));

  CHECK(distance(merged_layer("pave", {{"keep", 4 / 6.}, {"of", kPlainSum}}, base, {delta},
                              {gram.to(at::kFloat)}),
                 expected) < 1e-5);
}

TEST_CASE("CAT Merging removes output directions that move the other task's outputs", "[methods]") {
  const auto merged = [](const Json& parameters, const at::Tensor& first_gram) {
    Json all{{"scale", 1}};
    all.update(parameters);
    return merged_layer("cat_merging", all, at::ones({2, 2}), {axes(1, 1), axes(2, 2)},
                        {first_gram, axes(0, 1)}) -
           1;
  };
  // The first expert's own inputs are along one axis, the second's along the other.
  CHECK(distance(merged(Json::object(), axes(1, 0)), axes(1, 2)) < 1e-6);
  CHECK(distance(merged({{"trimmed", 0}}, axes(1, 0)), axes(3, 3)) < 1e-6);
  // The first's inputs are larger along both axes, with lambda 3 along one.
  CHECK(distance(merged(Json::object(), axes(1, 2)), axes(1, 1)) < 1e-6);
  CHECK(distance(merged({{"lambda", 3}}, axes(1, 2)), axes(1, 3)) < 1e-6);
  CHECK(distance(merged({{"trimmed", 1}}, axes(1, 3)), axes(3, 1)) < 1e-6);
}
