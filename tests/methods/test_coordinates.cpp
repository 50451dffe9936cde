// Methods that let another one merge task vectors in coordinates that all experts share, and SVC,
// which calibrates what another one made.
#include <cmath>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"
#include "tests/methods/low_rank.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Adapters' updates: 12 by 9 matrices of rank 2.
std::vector<at::Tensor> updates() {
  std::vector<at::Tensor> deltas;
  for (uint64_t i = 0; i < 3; ++i)
    deltas.push_back(low_rank_matrix(12, 9, 2, 10 * i).to(at::kFloat));
  return deltas;
}

std::vector<at::Tensor> transformed(const std::vector<at::Tensor>& deltas, const at::Tensor& left,
                                    const at::Tensor& right) {
  std::vector<at::Tensor> made;
  for (const at::Tensor& delta : deltas)
    made.push_back(left.mm(delta.to(at::kDouble)).mm(right).to(at::kFloat));
  return made;
}

const Json kSum{{"method", "task_arithmetic"}, {"scale", 1}};

Json ties(double density) {
  return {{"method", "ties"}, {"density", density}, {"trim.scope", "tensor"}};
}

}  // namespace

TEST_CASE("a linear merge in common coordinates is that of the dense updates",
          "[methods][spectral]") {
  const Json linear{{"method", "task_arithmetic"}, {"scale", 1}, {"weights", {0.5, 0.3, -0.2}}};
  const at::Tensor expected =
      merge_deltas("task_arithmetic", {{"scale", 1}, {"weights", {0.5, 0.3, -0.2}}}, updates());

  for (const char* stack : {"inputs", "outputs"})
    for (const char* values : {"parts", "basis"})
      CHECK(distance(merge_deltas("knots",
                                  {{"of", linear},
                                   {"scale", 1},
                                   {"above", 0},
                                   {"stack", stack},
                                   {"values", values}},
                                  updates()),
                     expected) < kSpectralTolerance);
  CHECK(distance(merge_deltas("core_space", {{"of", linear}}, updates()), expected) <
        kSpectralTolerance);
}

TEST_CASE("KnOTS elects signs along common directions of outputs", "[methods][spectral]") {
  // In the directions (1, 1) and (1, -1) the updates do not meet; in rows of the matrix they do.
  const float root = std::sqrt(0.5f);
  const std::vector<at::Tensor> deltas{at::tensor({2 * root, 2 * root}).reshape({2, 1}),
                                       at::tensor({root, -root}).reshape({2, 1})};

  CHECK(distance(merge_deltas("knots", {{"of", ties(1)}, {"scale", 1}}, deltas),
                 at::tensor({3 * root, root}).reshape({2, 1})) < kSpectralTolerance);
  CHECK(distance(merge_deltas("ties", {{"density", 1}}, deltas),
                 at::tensor({1.5f * root, 2 * root}).reshape({2, 1})) < kSpectralTolerance);
}

TEST_CASE("merges in common coordinates turn with the outputs, and with the inputs",
          "[methods][spectral]") {
  const at::Tensor left = orthonormal_columns(12, 12, 70), right = orthonormal_columns(9, 9, 71);
  const at::Tensor both =
      merge_deltas("core_space", {{"of", ties(0.5)}}, transformed(updates(), left, right));
  const Json knots{{"of", ties(0.5)}, {"scale", 1}};
  const at::Tensor same = at::eye(9, at::kDouble);

  const auto turned = [&](const at::Tensor& result, const at::Tensor& inputs) {
    return transformed({result}, left, inputs).front();
  };
  CHECK(distance(both, turned(merge_deltas("core_space", {{"of", ties(0.5)}}, updates()), right)) <
        1e-5);
  CHECK(distance(merge_deltas("knots", knots, transformed(updates(), left, same)),
                 turned(merge_deltas("knots", knots, updates()), same)) < 1e-5);
}

TEST_CASE("KnOTS in stacked inputs is KnOTS of transposed updates", "[methods][spectral]") {
  std::vector<at::Tensor> transposed;
  for (const at::Tensor& delta : updates()) transposed.push_back(delta.t().contiguous());
  const Json of = ties(0.4);

  CHECK(distance(merge_deltas("knots", {{"of", of}, {"stack", "outputs"}}, transposed).t(),
                 merge_deltas("knots", {{"of", of}}, updates())) < kSpectralTolerance);
  // Trimming sees the singular values, or does not.
  CHECK(distance(merge_deltas("knots", {{"of", of}, {"values", "basis"}}, updates()),
                 merge_deltas("knots", {{"of", of}}, updates())) > 1e-3);
}

TEST_CASE("coordinates are the same before and in the merge", "[methods][spectral]") {
  for (const char* method : {"knots", "core_space"}) {
    // One tensor is the whole model, so that thresholds are the same; only one is found before.
    CHECK(at::equal(
        merge_deltas(method, {{"of", {{"method", "ties"}}}}, updates()),
        merge_deltas(method, {{"of", {{"method", "ties"}, {"trim.scope", "tensor"}}}}, updates())));
    // What is dropped before the thresholds are found is dropped in the merge.
    const auto dropped = [&](const std::string& scope, uint64_t seed) {
      const Json of{{"method", "dare_ties"}, {"trim.scope", scope}, {"density", 0.5}};
      return merge_deltas(method, {{"of", of}}, updates(), seed);
    };
    CHECK(at::equal(dropped("model", 1), dropped("tensor", 1)));
    CHECK_FALSE(at::equal(dropped("model", 1), dropped("model", 2)));
  }
}

TEST_CASE("a threshold over a model counts other tensors, too", "[methods][spectral]") {
  MergeInputs inputs;
  inputs.base = source("base", {{"bias", at::zeros({2})}, {"w", at::zeros({2, 2})}});
  inputs.experts = {source("a", {{"bias", at::tensor({9.0f, 1.0f})}, {"w", diagonal({8, 2})}}),
                    source("b", {{"bias", at::zeros({2})}, {"w", at::zeros({2, 2})}})};
  // Kept is what reaches the second largest of six entries, or the largest of four.
  const Json of{{"method", "ties"}, {"density", 0.17}};

  const StateDict whole = merge("knots", {{"of", of}, {"scale", 1}}, inputs);
  CHECK(distance(whole.at("bias"), at::tensor({9.0f, 0.0f})) < kSpectralTolerance);
  CHECK(distance(whole.at("w"), diagonal({8, 0})) < kSpectralTolerance);
  const StateDict mean = merge("knots", {{"of", of}, {"scale", 1}, {"others", "mean"}}, inputs);
  CHECK(distance(mean.at("bias"), at::tensor({4.5f, 0.5f})) < kSpectralTolerance);
  const StateDict base = merge("knots", {{"of", of}, {"scale", 0.5}, {"others", "base"}}, inputs);
  CHECK(distance(base.at("bias"), at::zeros({2})) < kSpectralTolerance);
  CHECK(distance(base.at("w"), diagonal({4, 0})) < kSpectralTolerance);
}

TEST_CASE("KnOTS leaves out directions of small singular values", "[methods][spectral]") {
  const std::vector<at::Tensor> deltas{diagonal({2, 0.5f, 0}), diagonal({2, 0, 0.25f})};
  const auto above = [&](double bound) {
    return merge_deltas("knots", {{"of", kSum}, {"scale", 1}, {"above", bound}}, deltas);
  };

  CHECK(distance(above(0), diagonal({4, 0.5f, 0.25f})) < kSpectralTolerance);
  CHECK(distance(above(0.3), diagonal({4, 0.5f, 0})) < kSpectralTolerance);
  CHECK(distance(above(1), diagonal({4, 0, 0})) < kSpectralTolerance);
}

TEST_CASE("DC-Merge smooths the singular values that it keeps", "[methods][spectral]") {
  const std::vector<at::Tensor> deltas{diagonal({3, 1, 0, 0}), diagonal({0, 0, 2, 0})};
  const auto smoothed = [&](const Json& parameters) {
    Json all{{"of", kSum}};
    all.update(parameters);
    return merge_deltas("dc_merge", all, deltas);
  };

  CHECK(distance(smoothed(Json::object()), diagonal({2, 2, 2, 0})) < kSpectralTolerance);
  CHECK(distance(smoothed({{"smoothing", "none"}}), diagonal({3, 1, 2, 0})) < kSpectralTolerance);
  CHECK(distance(smoothed({{"smoothing", "linear"}}), diagonal({8 / 3.f, 4 / 3.f, 2, 0})) <
        kSpectralTolerance);
  CHECK(distance(smoothed({{"smoothing", "linear"}, {"strength", 0.5}}),
                 diagonal({17 / 6.f, 7 / 6.f, 2, 0})) < kSpectralTolerance);
  CHECK(distance(smoothed({{"rank", 0.25}}), diagonal({3, 0, 2, 0})) < kSpectralTolerance);
}

TEST_CASE("DC-Merge's mask keeps what pairs a task's own directions", "[methods][spectral]") {
  const std::vector<at::Tensor> deltas{diagonal({4, 0}), diagonal({4, 0})};
  const Json half{{"method", "task_arithmetic"}, {"scale", 0.5}};

  CHECK(distance(merge_deltas("dc_merge", {{"of", half}, {"mask", "none"}}, deltas),
                 diagonal({4, 0})) < kSpectralTolerance);
  CHECK(distance(merge_deltas("dc_merge", {{"of", half}}, deltas), diagonal({2, 0})) <
        kSpectralTolerance);
}

TEST_CASE("SVC scales a direction by what is left of the experts' responses",
          "[methods][spectral]") {
  const auto calibrated = [](const Json& of, const std::vector<at::Tensor>& deltas, double alpha) {
    return merge_deltas("svc", {{"of", of}, {"alpha", alpha}}, deltas);
  };
  const at::Tensor delta = noise({6, 4}, 1);

  // Twice the same task vector has twice the response: half of it is right.
  CHECK(distance(calibrated(kSum, {delta, delta}, 0.1), delta) < kSpectralTolerance);
  CHECK(distance(calibrated(kSum, {delta}, 1), delta) < kSpectralTolerance);
  // No response of the other expert counts as alpha: 2 / (1 + 0.1).
  CHECK(distance(calibrated(kSum, {diagonal({2, 0}), diagonal({0, 1})}, 0.1),
                 diagonal({2, 1}) * (2 / 1.1)) < kSpectralTolerance);
  // With directions that only one expert has, the method is told of all.
  CHECK(distance(calibrated({{"method", "ties"}, {"density", 1}},
                            {diagonal({2, 0}), diagonal({0, 1})}, 1),
                 diagonal({2, 1})) < kSpectralTolerance);
}

TEST_CASE("methods on other methods name those that they cannot use", "[methods][spectral]") {
  const auto refusal = [](const std::string& method, const std::string& of) -> std::string {
    try {
      merge_deltas(method, {{"of", of}}, updates());
    } catch (const UserError& error) {
      return error.what();
    }
    return "no UserError";
  };

  for (const char* method : {"knots", "core_space", "dc_merge", "svc"}) {
    CHECK_THAT(refusal(method, "average"), Contains("merges no task vectors"));
    CHECK_THAT(refusal(method, "emr"), Contains("emr") && Contains("one tensor at a time"));
  }
}
