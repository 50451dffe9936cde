// Methods that decide for every entry which models count: SCE, RAM and RAM+, NearSwap, Arcee
// Fusion.
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("G7: SCE with half of the entries selected", "[methods][golden][pitfall-2]") {
  const at::Tensor selected = matrix({.2240688086f, 0, -.5f, 0, -.4510687316f, 0, 0, .2771569388f});
  const at::Tensor all = matrix(
      {.2240688086f, -.2255343658f, -.5f, .1f, -.4510687316f, .2175476769f, -.4f, .2771569388f});

  for (const char* ref : {"sce", "sce@mergekit"})
    CHECK(distance(merge_deltas(ref, {{"select_topk", .5}}, golden_deltas()), selected) < 1e-6);
  CHECK(distance(merge_deltas("sce@fuseai", {{"select_topk", .5}}, golden_deltas()), all) < 1e-6);
}

TEST_CASE("G7: SCE with all entries", "[methods][golden]") {
  const at::Tensor wanted = matrix(
      {.2626968504f, -.2154843163f, -.5f, .1f, -.4309686326f, .2401602884f, -.4f, .2809097627f});

  for (const char* ref : {"sce", "sce@mergekit", "sce@fuseai"})
    CHECK(distance(merge_deltas(ref, Json::object(), golden_deltas()), wanted) < 1e-6);
}

TEST_CASE("SCE weighs experts by energy however small the deltas are", "[methods][pitfall-6]") {
  // Energies 1 and 9 in sum: weights .1 and .9.
  const at::Tensor small = at::tensor({1e-5f, 1e-5f}), large = 3 * small;
  const at::Tensor energetic = (.1f + .9f * 3) * small, equal = 2 * small;

  CHECK(distance(merge_deltas("sce", Json::object(), {small, large}), energetic) < 1e-10);
  // mergekit takes so little energy for none.
  CHECK(distance(merge_deltas("sce@mergekit", Json::object(), {small, large}), equal) < 1e-10);
}

TEST_CASE("SCE selects nothing where the experts are equal", "[methods]") {
  const at::Tensor base = noise({6}, 1), expert = noise({6}, 2);

  for (const char* ref : {"sce", "sce@mergekit"})
    CHECK(at::equal(merge_one(ref, {{"select_topk", .5}}, base, {expert, expert}), base));
  CHECK(at::equal(merge_one("sce", Json::object(), base, {base, base}), base));
}

TEST_CASE("SCE does not shrink the change of an expert with a small weight", "[methods]") {
  // Of the second entry only the first expert counts, whose share of the energy is 1e-8.
  const std::vector<at::Tensor> deltas{at::tensor({0.0f, 1.0f}), at::tensor({1e4f, 0.0f})};

  CHECK(distance(merge_deltas("sce", Json::object(), deltas), at::tensor({1e4f, 1.0f})) < 1e-3);
  CHECK(distance(merge_deltas("sce@mergekit", Json::object(), deltas), at::tensor({1e4f, .01f})) <
        1e-3);
}

TEST_CASE("RAM keeps what one expert changed and averages what several did", "[methods]") {
  const std::vector<at::Tensor> deltas{at::tensor({1.0f, 2.0f, 0.0f, 0.0f}),
                                       at::tensor({3.0f, 0.0f, 4.0f, 0.0f}),
                                       at::tensor({5.0f, 1e-6f, 0.0f, 1e-6f})};

  for (const char* ref : {"ram", "ram@mergekit"})
    CHECK(distance(merge_deltas(ref, Json::object(), deltas),
                   at::tensor({3.0f, 2.0f, 4.0f, 0.0f})) < 1e-6);
  CHECK(distance(merge_deltas("ram", {{"epsilon", 0}}, deltas),
                 at::tensor({3.0f, (2 + 1e-6f) / 2, 4.0f, 1e-6f})) < 1e-6);
}

TEST_CASE("RAM+ strengthens what one expert alone changed", "[methods]") {
  // Of the first expert's entries one is shared and two are its own; the third's is shared.
  const std::vector<at::Tensor> deltas{at::tensor({1.0f, 2.0f, 4.0f, 0.0f}),
                                       at::tensor({3.0f, 0.0f, 0.0f, 4.0f}),
                                       at::tensor({5.0f, 0.0f, 0.0f, 0.0f})};
  const auto merged = [&](const char* ref, const Json& parameters) {
    return merge_deltas(ref, parameters, deltas);
  };

  for (const char* ref : {"ram_plus", "ram_plus@mergekit"}) {
    CHECK(distance(merged(ref, {{"r", 1}, {"alpha", 10}}), at::tensor({3.0f, 3.0f, 6.0f, 8.0f})) <
          1e-5);
    CHECK(distance(merged(ref, Json::object()), at::tensor({3.0f, 2.04f, 4.08f, 4.08f})) < 1e-5);
  }
}

TEST_CASE("RAM+ counts over the model or in each tensor", "[methods]") {
  MergeInputs inputs;
  const at::Tensor one = at::tensor({1.0f}), zero = at::tensor({0.0f});
  inputs.base = source("base", {{"v", zero}, {"w", zero}, {"x", zero}});
  inputs.experts = {source("a", {{"v", one}, {"w", one}, {"x", one}}),
                    source("b", {{"v", zero}, {"w", one}, {"x", zero}})};
  const auto of_v = [&](const char* scope) {
    return merge("ram_plus", {{"r", 1}, {"alpha", 10}, {"scope", scope}}, inputs)
        .at("v")
        .item<float>();
  };

  CHECK(of_v("model") == 1.5F);  // one shared, two its own
  CHECK(of_v("tensor") == 1);
}

TEST_CASE("RAM of disjoint changes is their sum, of equal ones themselves", "[methods]") {
  const at::Tensor left = at::tensor({1.0f, 0.0f}), right = at::tensor({0.0f, 2.0f});

  for (const char* ref : {"ram", "ram_plus", "ram@mergekit", "ram_plus@mergekit"}) {
    CHECK(at::equal(merge_deltas(ref, Json::object(), {left, right}), left + right));
    CHECK(at::equal(merge_deltas(ref, Json::object(), {right, right, right, right}), right));
  }
}

TEST_CASE("NearSwap moves every entry by a step at most", "[methods]") {
  const at::Tensor a = at::tensor({0.0f, 1.0f, 1.0f}), b = at::tensor({.125f, 2.0f, .5f});

  for (const char* ref : {"nearswap", "nearswap@mergekit"}) {
    const auto merged = [&](double t) { return merge_one(ref, {{"t", t}}, {}, {a, b}); };
    CHECK(distance(merged(.25), at::tensor({.125f, 1.25f, .75f})) < 1e-6);
    CHECK(at::equal(merged(0), a));
    CHECK(at::equal(merged(4), b));
  }
}

TEST_CASE("NearSwap goes by distances below 1e-6, which mergekit does not tell apart",
          "[methods]") {
  const std::vector<at::Tensor> models{at::tensor({0.0f}), at::tensor({5e-7f})};

  CHECK(distance(merge_one("nearswap", {{"t", 2e-7}}, {}, models), at::tensor({2e-7f})) < 1e-12);
  CHECK(distance(merge_one("nearswap@mergekit", {{"t", 2e-7}}, {}, models), at::tensor({1e-7f})) <
        1e-12);
}

TEST_CASE("Arcee Fusion takes over outlying changes", "[methods]") {
  // Importances are as the changes. Quartiles .2, .3, .4: the threshold is that of .6.
  const at::Tensor zero = at::zeros({1, 5}),
                   second = at::tensor({.1f, .2f, .3f, .4f, 5.0f}).reshape({1, 5});

  for (const char* ref : {"arcee_fusion", "arcee_fusion@mergekit"}) {
    MergeReport report;
    const MergeInputs inputs = one_tensor_inputs({}, {zero, second});
    CHECK(at::equal(merge(ref, Json::object(), inputs, &report).at("w"),
                    at::tensor({0.0f, 0.0f, 0.0f, 0.0f, 5.0f}).reshape({1, 5})));
    CHECK(report.diagnostics.at("taken_frac") == Approx(.2));
  }
}

TEST_CASE("Arcee Fusion's quantiles: between two values, or the lower", "[methods]") {
  // Between: .25 + 1.5 (.3525 - .175) = .51625. Lower: .2 + 1.5 (.3 - .1) = .5.
  const at::Tensor zero = at::zeros({4}), second = at::tensor({.1f, .2f, .3f, .51f});

  CHECK(at::equal(merge_one("arcee_fusion", Json::object(), {}, {zero, second}), zero));
  CHECK(at::equal(merge_one("arcee_fusion", {{"quantile", "lower"}}, {}, {zero, second}),
                  second * at::tensor({0.0f, 0.0f, 0.0f, 1.0f})));
}

TEST_CASE("Arcee Fusion weighs changes by how much a row's softmax changes", "[methods]") {
  // The rows change alike, but the second by a constant more, which its softmax does not show.
  const at::Tensor zero = at::zeros({2, 4});
  const at::Tensor second =
      at::tensor({.1f, .2f, .3f, 5.0f, 9.0f, 9.0f, 9.0f, 9.0f}).reshape({2, 4});

  const at::Tensor merged = merge_one("arcee_fusion", Json::object(), {}, {zero, second});
  CHECK(merged[0][3].item<float>() == 5);
  CHECK(at::equal(merged[1], zero[1]));
}
