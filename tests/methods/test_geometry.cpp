// Model Stock and NuSLERP: points that angles between models or task vectors decide.
#include <cmath>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// The deltas of the golden vectors for Model Stock.
std::vector<at::Tensor> stock_deltas() {
  return {matrix({.4f, -.1f, .03f, 0, -.2f, .5f, .01f, -.3f}),
          matrix({.3f, -.2f, .02f, .1f, .1f, .4f, -.1f, -.2f}),
          matrix({.2f, .1f, -.1f, .2f, -.1f, .3f, .1f, -.1f})};
}

/// How far each row goes from the base to the mean of the experts.
at::Tensor shares(const std::string& ref, const Json& parameters, std::vector<at::Tensor> deltas,
                  float scale = 1, MergeReport* report = nullptr) {
  for (at::Tensor& delta : deltas) delta = delta * scale;
  const at::Tensor mean = at::stack(deltas).mean(0);
  const MergeInputs inputs = one_tensor_inputs(at::zeros_like(mean), deltas);
  const at::Tensor merged = merge(ref, parameters, inputs, report).at("w");
  return (merged * mean).sum(1) / (mean * mean).sum(1);
}

at::Tensor both(double value) { return at::full({2}, value); }

/// Of a = (1, 2, 2) and b = (0, 3, 4), a quarter of the way.
const at::Tensor& quarter() {
  static const at::Tensor point = at::tensor({.7574633751f, 2.2809738981f, 2.5363229473f});
  return point;
}
/// The same from b to a.
const at::Tensor& three_quarters() {
  static const at::Tensor point = at::tensor({.2553490493f, 2.7830882239f, 3.5405515991f});
  return point;
}

}  // namespace

TEST_CASE("G6: Model Stock", "[methods][golden]") {
  std::vector<at::Tensor> experts;
  for (const at::Tensor& delta : stock_deltas()) experts.push_back(golden_base() + delta);
  const MergeInputs inputs = one_tensor_inputs(golden_base(), experts);
  const at::Tensor wanted = matrix({1.2701788962f, -2.0600397547f, .4849900613f, .0900596321f,
                                    .1899602453f, 3.3602385282f, -.9969980123f, 1.8198807359f});

  for (const char* ref : {"model_stock", "model_stock@mergekit"})
    CHECK(distance(merge(ref, Json::object(), inputs).at("w"), wanted) < 1e-6);
}

TEST_CASE("G6: Model Stock's angles, per tensor and per row", "[methods][golden]") {
  const at::Tensor rows = at::tensor({.8401136673f, .9383682690f});
  for (const char* ref : {"model_stock", "model_stock@mergekit"}) {
    CHECK(distance(shares(ref, Json::object(), stock_deltas()), both(.9005963205)) < 1e-5);
    CHECK(distance(shares(ref, {{"scope", "row"}}, stock_deltas()), rows) < 1e-5);
    CHECK(distance(shares(ref, {{"angle", "mean_angle"}}, stock_deltas()), both(.9039726581)) <
          1e-5);
  }
  CHECK(distance(shares("model_stock@fusionbench", Json::object(), stock_deltas()),
                 both(.9039726581)) < 1e-5);
}

TEST_CASE("Model Stock goes by angles however small the deltas are", "[methods][pitfall-6]") {
  for (const float scale : {1e-3F, 1e-4F}) {
    CHECK(distance(shares("model_stock", Json::object(), stock_deltas(), scale),
                   both(.9005963205)) < 1e-4);
    CHECK(distance(shares("model_stock", {{"scope", "row"}}, stock_deltas(), scale),
                   at::tensor({.8401136673f, .9383682690f})) < 1e-4);
  }
  // mergekit's least product of norms.
  CHECK(distance(shares("model_stock@mergekit", Json::object(), stock_deltas(), 1e-3F),
                 both(.5325)) < 1e-3);
  CHECK(distance(shares("model_stock@mergekit", Json::object(), stock_deltas(), 1e-4F),
                 both(.0082)) < 1e-3);
}

TEST_CASE("Model Stock leaves the base at obtuse angles, says so, or is clamped",
          "[methods][pitfall-6]") {
  MergeReport report;
  CHECK(distance(shares("model_stock", Json::object(), golden_deltas(), 1, &report),
                 both(-1.1609037350)) < 1e-4);
  CHECK(report.diagnostics.at("extrapolated_frac") == 1);
  CHECK(report.diagnostics.at("t") == Approx(-1.160903735).epsilon(1e-5));
  for (const char* scope : {"tensor", "row"})
    CHECK(distance(shares("model_stock", {{"clamp", true}, {"scope", scope}}, golden_deltas()),
                   both(0)) < 1e-6);
}

TEST_CASE("Model Stock keeps the base where two experts cancel", "[methods]") {
  const at::Tensor delta = noise({2, 8}, 1);
  for (const char* ref : {"model_stock", "model_stock@mergekit"})
    for (const char* scope : {"tensor", "row"})
      CHECK(distance(merge(ref, {{"scope", scope}},
                           one_tensor_inputs(at::ones({2, 8}), {1 + delta, 1 - delta}))
                         .at("w"),
                     at::ones({2, 8})) < 1e-5);
}

TEST_CASE("G3: NuSLERP goes by weights", "[methods][golden]") {
  const at::Tensor a = at::tensor({1.0f, 2.0f, 2.0f}), b = at::tensor({0.0f, 3.0f, 4.0f});
  for (const char* ref : {"nuslerp", "nuslerp@mergekit"}) {
    const auto merged = [&](const Json& weights) {
      return merge(ref, {{"weights", weights}}, one_tensor_inputs({}, {a, b})).at("w");
    };
    CHECK(distance(merged({3, 1}), quarter()) < 1e-5);
    CHECK(distance(merged({.75, .25}), quarter()) < 1e-5);
    CHECK(distance(merged({1, 3}), three_quarters()) < 1e-5);
    // Without a sum to divide by, half.
    CHECK(distance(merged({1, -1}), merged({1, 1})) < 1e-6);
    CHECK(distance(merged({1, 0}), a) < 1e-6);
  }
}

TEST_CASE("NuSLERP of task vectors adds the base again", "[methods]") {
  const at::Tensor base = at::tensor({5.0f, -3.0f, 8.0f});
  const MergeInputs inputs = one_tensor_inputs(
      base, {base + at::tensor({1.0f, 2.0f, 2.0f}), base + at::tensor({0.0f, 3.0f, 4.0f})});
  for (const char* ref : {"nuslerp", "nuslerp@mergekit"})
    for (const char* scope : {"tensor", "row", "column"})
      CHECK(distance(
                merge(ref, {{"weights", {3, 1}}, {"task_vectors", true}, {"scope", scope}}, inputs)
                    .at("w"),
                base + quarter()) < 1e-5);
  CHECK_THROWS_AS(merge("nuslerp", {{"task_vectors", true}}, one_tensor_inputs({}, {base, base})),
                  SkipCell);
}

TEST_CASE("NuSLERP of rows and of columns", "[methods]") {
  const at::Tensor a = at::tensor({1.0f, 2.0f, 2.0f}), b = at::tensor({0.0f, 3.0f, 4.0f});
  const at::Tensor first = at::stack({a, b}), second = at::stack({b, a});
  const at::Tensor wanted = at::stack({quarter(), three_quarters()});
  for (const char* ref : {"nuslerp", "nuslerp@mergekit"}) {
    CHECK(distance(merge(ref, {{"weights", {3, 1}}, {"scope", "row"}},
                         one_tensor_inputs({}, {first, second}))
                       .at("w"),
                   wanted) < 1e-5);
    CHECK(distance(merge(ref, {{"weights", {3, 1}}, {"scope", "column"}},
                         one_tensor_inputs({}, {first.t().contiguous(), second.t().contiguous()}))
                       .at("w"),
                   wanted.t()) < 1e-5);
  }
}

TEST_CASE("NuSLERP of equal, opposite and zero vectors is finite", "[methods]") {
  const at::Tensor a = at::tensor({3.0f, 4.0f}), zero = at::zeros({2});
  for (const char* ref : {"nuslerp", "nuslerp@mergekit"})
    for (const char* scope : {"tensor", "row"}) {
      const auto merged = [&](const at::Tensor& x, const at::Tensor& y) {
        return merge(ref, {{"scope", scope}}, one_tensor_inputs({}, {x, y})).at("w");
      };
      CHECK(distance(merged(a, a), a) < 1e-6);
      CHECK(distance(merged(a, 2 * a), 1.5 * a) < 1e-5);
      CHECK(distance(merged(a, -a), zero) < 1e-5);
      CHECK(distance(merged(zero, zero), zero) == 0);
      CHECK(merged(a, zero).isfinite().all().item<bool>());
    }
}
