// PCB-Merging, against a plain computation on whole sorted task vectors.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// The authors' formula in float64 on task vectors [experts, entries]; without clamping where
/// `clamp` is 0.
at::Tensor plain_pcb(const at::Tensor& vectors, double ratio, double clamp) {
  const auto ranged = [](const at::Tensor& x, int64_t first, int64_t last) {
    const at::Tensor sorted = std::get<0>(x.sort(1));
    return at::minimum(at::maximum(x, sorted.narrow(1, first, 1)), sorted.narrow(1, last, 1));
  };
  const auto scaled = [](const at::Tensor& x) {
    const at::Tensor low = x.amin({1}, true), high = x.amax({1}, true);
    return (x - low) / (high - low);
  };
  const auto experts = static_cast<double>(vectors.size(0));
  const auto d = static_cast<double>(vectors.size(1));
  const at::Tensor sizes = ranged(vectors.abs(), static_cast<int64_t>(d * clamp),
                                  static_cast<int64_t>(d * (1 - clamp) - 1));
  const at::Tensor scores =
      (experts * scaled(sizes).square()).exp() * (vectors * vectors.sum(0)).tanh();
  const at::Tensor shares =
      scaled(ranged(scores, static_cast<int64_t>(d * (1 - ratio)), static_cast<int64_t>(d) - 1));
  return (vectors.sign() * sizes * shares).sum(0) / shares.sum(0).clamp_min(1e-12);
}

at::Tensor flat(const StateDict& model) {
  std::vector<at::Tensor> parts;
  for (const auto& [unused, tensor] : model) parts.push_back(tensor.flatten());
  return at::cat(parts);
}

}  // namespace

TEST_CASE("PCB-Merging of two entries", "[methods]") {
  // Sums 1 and 0, so the second entry agrees with nobody. Its scores are the lowest, and get no
  // weight: the first keeps what the only expert says that changed it.
  const MergeInputs inputs =
      one_tensor_inputs(at::zeros({2}), {at::tensor({1.0f, 2.0f}), at::tensor({0.0f, -2.0f})});
  CHECK(distance(merge("pcb", {{"ratio", 1}, {"clamp", 0}, {"scale", 1}}, inputs).at("w"),
                 at::tensor({1.0f, 0.0f})) < 1e-6);
  CHECK(
      distance(merge("pcb", {{"ratio", 1}, {"clamp", 0}, {"scale", 1}, {"weights", {3, 1}}}, inputs)
                   .at("w"),
               at::tensor({3.0f, 0.0f})) < 1e-6);
}

TEST_CASE("PCB-Merging ranks entries over the whole model", "[methods]") {
  MergeInputs inputs;
  inputs.base = source("base", {{"a", at::zeros({70, 30})}, {"b", at::zeros({500})}});
  std::vector<at::Tensor> vectors;
  for (uint64_t i = 1; i < 4; ++i) {
    const StateDict deltas{{"a", noise({70, 30}, i)}, {"b", 3 * noise({500}, 10 + i)}};
    vectors.push_back(flat(deltas));
    inputs.experts.push_back(source("expert", deltas));
  }
  const at::Tensor stacked = at::stack(vectors).to(at::kDouble);

  for (const double ratio : {.05, .3, .9, 1.0})
    for (const double clamp : {0.0, 1e-4, .01}) {
      CAPTURE(ratio, clamp);
      const Json parameters{{"ratio", ratio}, {"clamp", clamp}, {"scale", 2}};
      CHECK(distance(flat(merge("pcb", parameters, inputs)), 2 * plain_pcb(stacked, ratio, clamp)) <
            2e-5);
    }
}

TEST_CASE("PCB-Merging of many experts does not overflow", "[methods]") {
  const at::Tensor delta = at::tensor({1.0f, .5f, 0.0f});
  const MergeInputs inputs = one_tensor_inputs(at::zeros({3}), std::vector<at::Tensor>(200, delta));
  CHECK(distance(merge("pcb", {{"ratio", 1}, {"clamp", 0}, {"scale", 1}}, inputs).at("w")[0],
                 at::ones({})) < 1e-6);
}

TEST_CASE("PCB-Merging of copies is the expert, but for entries of the lowest score", "[methods]") {
  const at::Tensor delta = at::tensor({.5f, -1.0f, 2.0f, .25f});
  CHECK(distance(merge("pcb", {{"ratio", 1}, {"clamp", 0}, {"scale", 1}},
                       one_tensor_inputs(at::zeros({4}), {delta, delta}))
                     .at("w"),
                 at::tensor({.5f, -1.0f, 2.0f, 0.0f})) < 1e-6);
}

TEST_CASE("PCB-Merging of unchanged experts is the base", "[methods]") {
  const MergeInputs inputs = one_tensor_inputs(golden_base(), {golden_base(), golden_base()});
  CHECK(at::equal(merge("pcb", Json::object(), inputs).at("w"), golden_base()));
}
