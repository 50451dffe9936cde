// LOT Merging: task vectors fitted to the experts' inputs.
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;

namespace {

FakeEvidence evidence_of(const std::vector<at::Tensor>& grams, bool in_out = false) {
  FakeEvidence evidence;
  evidence.add_linear("w", grams.front().size(0), in_out);
  for (const at::Tensor& gram : grams) evidence.statistics["input_gram"].push_back({{"w", gram}});
  return evidence;
}

at::Tensor merge_lot(const Json& parameters, const at::Tensor& base,
                     const std::vector<at::Tensor>& deltas, const FakeEvidence& evidence) {
  std::vector<at::Tensor> experts;
  for (const at::Tensor& delta : deltas) experts.push_back(base + delta);
  MergeInputs inputs = one_tensor_inputs(base, experts);
  inputs.evidence = &evidence;
  return merge("lot", parameters, inputs).at("w");
}

}  // namespace

TEST_CASE("LOT weighs task vectors by the inputs that they see", "[methods]") {
  // Columns are independent: (3 * 1 + 1 * 0) / 4, and (1 * 1 + 1 * 0) / 2; nobody sees the third.
  const FakeEvidence evidence = evidence_of(
      {at::diag(at::tensor({3.0f, 1.0f, 0.0f})), at::diag(at::tensor({1.0f, 1.0f, 0.0f}))});
  const at::Tensor base = at::full({1, 3}, 2.0f);
  const std::vector<at::Tensor> deltas{at::ones({1, 3}), at::zeros({1, 3})};

  CHECK(distance(merge_lot(Json::object(), base, deltas, evidence),
                 at::tensor({2.75f, 2.5f, 2.0f}).reshape({1, 3})) < 1e-6);
  CHECK(distance(merge_lot({{"scale", 2}}, base, deltas, evidence),
                 at::tensor({3.5f, 3.0f, 2.0f}).reshape({1, 3})) < 1e-6);
  CHECK(distance(merge_lot({{"weights", {1, 3}}}, base, deltas, evidence),
                 at::tensor({2.5f, 2.25f, 2.0f}).reshape({1, 3})) < 1e-6);
}

TEST_CASE("LOT minimises the distance of outputs on the experts' inputs", "[methods]") {
  std::vector<at::Tensor> inputs, grams, deltas;
  at::Tensor stacked_inputs, stacked_outputs;
  for (uint64_t i = 0; i < 2; ++i) {
    inputs.push_back(noise({40, 6}, 1 + i).to(at::kDouble));
    grams.push_back(inputs[i].t().mm(inputs[i]).to(at::kFloat));
    deltas.push_back(noise({4, 6}, 11 + i));
  }
  const at::Tensor base = noise({4, 6}, 20);
  const auto task_vector = [&](size_t i) { return deltas[i].to(at::kDouble).t(); };
  const at::Tensor wanted = std::get<0>(at::linalg_lstsq(
      at::cat(inputs), at::cat({inputs[0].mm(task_vector(0)), inputs[1].mm(task_vector(1))})));
  const at::Tensor expected = base.to(at::kDouble) + wanted.t();

  CHECK(distance(merge_lot(Json::object(), base, deltas, evidence_of(grams)), expected) < 1e-5);
  // The same of a layer that is stored [in, out].
  const at::Tensor stored =
      merge_lot(Json::object(), base.t().contiguous(),
                {deltas[0].t().contiguous(), deltas[1].t().contiguous()}, evidence_of(grams, true));
  CHECK(distance(stored.t(), expected) < 1e-5);
}

TEST_CASE("LOT of copies is the expert where the inputs span all directions", "[methods]") {
  const at::Tensor x = noise({50, 5}, 1), base = noise({3, 5}, 2), delta = noise({3, 5}, 3);
  const at::Tensor gram = x.t().mm(x);
  CHECK(distance(merge_lot(Json::object(), base, {delta, delta}, evidence_of({gram, 2 * gram})),
                 base + delta) < 1e-5);
}

TEST_CASE("LOT leaves directions below the cut-off at the base", "[methods]") {
  const FakeEvidence evidence = evidence_of({at::diag(at::tensor({1.0f, 1e-3f}))});
  const at::Tensor base = at::zeros({1, 2}), delta = at::ones({1, 2});
  CHECK(distance(merge_lot({{"cutoff", 1e-4}}, base, {delta}, evidence), delta) < 1e-6);
  CHECK(distance(merge_lot({{"cutoff", 1e-2}}, base, {delta}, evidence),
                 at::tensor({1.0f, 0.0f}).reshape({1, 2})) < 1e-6);
}
