#include "harness/calibration/statistic.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

// Softmax regression with the golden vector's weights [3, 2], as a perceptron whose hidden layer is
// the positive and the negative part of its inputs: relu(x) - relu(-x) = x.
StateDict regression() {
  const at::Tensor one = at::eye(2, at::kDouble);
  const at::Tensor w = at::tensor({.5, -.2, 0., .1, -.3, .4}, at::kDouble).reshape({3, 2});
  return {{"hidden.weight", at::cat({one, -one})},
          {"hidden.bias", at::zeros({4}, at::kDouble)},
          {"head.weight", at::cat({w, -w}, 1)},
          {"head.bias", at::zeros({3}, at::kDouble)}};
}

const std::shared_ptr<const Architecture> kArchitecture = toy_mlp(2, 4, 3);

CalibrationData two_examples() {
  return {{kArchitecture, nullptr},
          {toy_task("toy/a", at::tensor({1.f, 2.f, -1.f, .5f}).reshape({2, 2}),
                    at::tensor({0, 2}, at::kLong))},
          {}};
}

StatisticTensors toy_statistic(const std::string& name, const Json& parameters,
                               const StateDict& weights, const CalibrationData& data,
                               uint64_t seed = 0) {
  return computed(name, parameters, *kArchitecture, weights, data, kBatchTokens, seed);
}

// Of the regression's weights: an input is in one of two columns, by its sign.
at::Tensor fisher_of_regression(const std::string& estimator) {
  const StatisticTensors found = toy_statistic(
      "fisher", {{"estimator", estimator}, {"compute", "float64"}}, regression(), two_examples());
  const at::Tensor head = found.tensors.at("head.weight");
  CHECK(head.scalar_type() == at::kFloat);
  return head.narrow(1, 0, 2) + head.narrow(1, 2, 2);
}

void check_golden(const std::string& estimator, const std::vector<double>& expected) {
  INFO(estimator);
  const at::Tensor found = fisher_of_regression(estimator).to(at::kDouble);
  const at::Tensor wanted = at::tensor(expected, at::kDouble).reshape({3, 2});
  CHECK((found - wanted).abs().max().item<double>() < 1e-7);
}

}  // namespace

TEST_CASE("Fisher estimators have the golden values", "[calibration]") {
  check_golden("exact",
               {.1705556019, .4189895515, .2158626441, .4530534037, .2463375087, .5167050992});
  check_golden("empirical",
               {.2749031444, 1.0461067767, .0995550787, .2018916573, .2072906243, .3743429453});
  check_golden("argmax",
               {.0529129356, .1581459414, .0995550787, .2018916573, .2925487516, .7153754547});
}

TEST_CASE("MergeLM's estimator is that of its sum over classes", "[calibration]") {
  // By hand: the gradient of sum_y sqrt(p_y) log p_y, with sqrt(p_y) constant, with respect to
  // the logits is sqrt(p) - p sum_y sqrt(p_y).
  const at::Tensor w = regression().at("head.weight").narrow(1, 0, 2);
  at::Tensor expected = at::zeros({3, 2}, at::kDouble);
  for (const auto& x : {at::tensor({1., 2.}, at::kDouble), at::tensor({-1., .5}, at::kDouble)}) {
    const at::Tensor p = w.mv(x).softmax(0);
    expected += (p.sqrt() - p * p.sqrt().sum()).ger(x).square() / 2;
  }
  CHECK((fisher_of_regression("mergelm") - expected).abs().max().item<double>() < 1e-7);
}

TEST_CASE("sampled answers follow the model's probabilities", "[calibration]") {
  // The same example many times: its answers are drawn anew each time.
  const int64_t count = 4000;
  const CalibrationData data(
      {kArchitecture, nullptr},
      {toy_task("toy/a", at::tensor({1.f, 2.f}).expand({count, 2}), at::zeros({count}, at::kLong))},
      {.examples = count});
  const auto head = [&](const std::string& estimator, uint64_t seed) {
    return toy_statistic("fisher", {{"estimator", estimator}, {"compute", "float64"}}, regression(),
                         data, seed)
        .tensors.at("head.weight");
  };
  const at::Tensor sampled = head("sampled", 1);
  CHECK(at::equal(sampled, head("sampled", 1)));
  CHECK_FALSE(at::equal(sampled, head("sampled", 2)));
  const at::Tensor w = regression().at("head.weight").narrow(1, 0, 2);
  const at::Tensor p = w.mv(at::tensor({1., 2.}, at::kDouble)).softmax(0);
  const at::Tensor exact = (p * (1 - p)).ger(at::tensor({1., 4.}, at::kDouble));
  CHECK((sampled.narrow(1, 0, 2) - exact).abs().max().item<double>() < 0.05);
}

TEST_CASE("an exact Fisher over many classes is refused", "[calibration]") {
  const auto wide = toy_mlp(2, 4, 2000);
  const CalibrationData data({wide, nullptr},
                             {toy_task("toy/a", at::ones({1, 2}), at::zeros({1}, at::kLong))}, {});
  const Json exact{{"estimator", "exact"}};
  const auto statistic = make_statistic("fisher", JsonReader(exact, "the test"));
  CHECK_THROWS_WITH(compute_statistic(*statistic, *wide, wide->initial_weights(0), data, 0),
                    Contains("'sampled'"));
}

TEST_CASE("a class that the model does not have is refused", "[calibration]") {
  const CalibrationData data({kArchitecture, nullptr},
                             {toy_task("toy/a", at::ones({1, 2}), at::full({1}, 3, at::kLong))},
                             {});
  for (const auto* name : {"fisher", "layer_sensitivity"})
    CHECK_THROWS_WITH(toy_statistic(name, Json::object(), regression(), data),
                      Contains("class 3") && Contains("3 classes"));
}

TEST_CASE("a tensor's sensitivity is the sum of |weight x gradient|", "[calibration]") {
  const StateDict found =
      toy_statistic("layer_sensitivity", Json::object(), regression(), two_examples()).tensors;
  const at::Tensor w = regression().at("head.weight").narrow(1, 0, 2);
  const std::vector<std::pair<at::Tensor, int64_t>> examples{
      {at::tensor({1., 2.}, at::kDouble), 0}, {at::tensor({-1., .5}, at::kDouble), 2}};
  double expected = 0, root = 0;
  for (const auto& [x, label] : examples) {
    const at::Tensor p = w.mv(x).softmax(0);
    const at::Tensor gradient = p - at::one_hot(at::tensor({label}, at::kLong), 3).squeeze(0);
    expected += (w * gradient.ger(x)).abs().sum().item<double>() / 2;
    root += (w * gradient.ger(x)).square().sum().sqrt().item<double>() / 2;
  }
  CHECK(found.at("head.weight").item<double>() == Approx(expected));
  const StateDict l2 =
      toy_statistic("layer_sensitivity", {{"norm", "l2"}}, regression(), two_examples()).tensors;
  CHECK(l2.at("head.weight").item<double>() == Approx(root));
  CHECK(found.at("head.weight").scalar_type() == at::kDouble);
  CHECK(found.at("head.bias").item<double>() == 0);
  CHECK(found.at("hidden.weight").item<double>() > 0);
}

TEST_CASE("the statistics of gradients have the same bytes on any number of threads",
          "[calibration]") {
  const CalibrationData data({kArchitecture, nullptr},
                             {toy_task("toy/a", noise({50, 2}, 1), at::zeros({50}, at::kLong))},
                             {});
  const StateDict weights = kArchitecture->initial_weights(4);
  for (const auto* name : {"fisher", "layer_sensitivity"}) {
    StateDict first;
    for (const int threads : {1, 2, 4}) {
      const Threads used(threads);
      const StateDict found = toy_statistic(name, Json::object(), weights, data).tensors;
      if (threads == 1) first = found;
      for (const auto& [tensor, values] : found) CHECK(at::equal(values, first.at(tensor)));
    }
  }
}
