// ZipIt! and its form in both spaces (MuDSC): on perceptrons and ResNets with data.
#include "harness/core/rng.h"
#include "methods/permute/units.h"
#include "methods/permute/zip.h"
#include "tests/catch.h"
#include "tests/methods/permuted_networks.h"

using namespace assay;
using namespace assay::testing;

namespace {

const Json kTwoUnits{{"model_type", "mlp"}, {"inputs", 2}, {"hidden", 2}, {"classes", 3}};

StateDict random_resnet() {
  return make_architecture(JsonReader(kResNet, "test"))->initial_weights(1);
}

at::Tensor matrix(std::vector<int64_t> shape, const std::vector<float>& values) {
  return at::tensor(values).view(shape);
}

/// `hidden`: a row per unit; `head`: a column.
StateDict two_units(const std::vector<float>& hidden, const std::vector<float>& head) {
  return {{"hidden.weight", matrix({2, 2}, hidden)},
          {"hidden.bias", at::zeros({2})},
          {"head.weight", matrix({3, 2}, head)},
          {"head.bias", at::zeros({3})}};
}

/// The same network with the units of every group in another order.
StateDict reordered(const StateDict& weights, const Networks& of) {
  const NetworkEvidence evidence(of);
  std::vector<std::string> names;
  for (const auto& [name, unused] : weights) names.push_back(name);
  const UnitGroups groups(names, evidence.get(), /*streams=*/true, "the test");
  Rng rng(7, "orders");
  std::vector<UnitOrder> orders;
  for (size_t i = 0; i < groups.size(); ++i) orders.push_back(rng.permutation(groups.units(i)));
  StateDict made;
  for (const auto& [name, tensor] : weights) made[name] = groups.reordered(name, tensor, orders);
  return made;
}

}  // namespace

TEST_CASE("units are zipped with the most alike ones of the other network",
          "[methods][permute][zipit]") {
  // Units 0, 1 of the first network, 2, 3 of the second: 0 goes with 3, 1 with 2.
  const std::vector<double> values{1,  .6, .1,  .9,   //
                                   .6, 1,  .8,  .2,   //
                                   .1, .8, 1,   -.5,  //
                                   .9, .2, -.5, 1};
  const at::Tensor similarities = at::tensor(values, at::kDouble).view({4, 4});
  const ZippedUnits across = zip_units(similarities, 2, 2, {.alpha = 1, .beta = 0});
  CHECK(across.unit_of == std::vector<int64_t>{0, 1, 1, 0});
  CHECK(across.similarity == Approx((.9 + .8) / 2));

  // Within the first network 0 and 1 are most alike: with a budget for it they become one.
  at::Tensor alike = similarities.clone();
  alike[0][1] = alike[1][0] = .95;
  CHECK(zip_units(alike, 2, 2, {.alpha = 1, .beta = 0}).unit_of ==
        std::vector<int64_t>{0, 1, 1, 0});
  const std::vector<int64_t> within = zip_units(alike, 2, 2, {.alpha = 1, .beta = 1}).unit_of;
  CHECK(within[0] == within[1]);
}

TEST_CASE("ZipIt keeps the function of a network merged with itself", "[methods][permute][zipit]") {
  const auto by = GENERATE("activations", "weights", "both");
  CAPTURE(by);
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(1)});
  CHECK(error_to_ensemble(merged("zipit", {{"by", by}, {"beta", 0}}, networks), networks) < 1e-6);
}

TEST_CASE("weights and activations of units are weighed against each other in zipping",
          "[methods][permute][zipit]") {
  // On data unit 0 of the one does what unit 0 of the other does, but their weights say the
  // contrary: as vectors (hidden row, bias, head column) they are (1, 0, 0, 3, -3, 0) and
  // (1, 0, 0, -3, 3, 0), with a correlation of -2.861 / 3.139, and with the other's unit 1,
  // (0, 1, 0, 3, -3, 0), of 2.972 / 3.139. The two sums are equal at a balance of about 0.35.
  const Networks networks = networks_of(kTwoUnits, {two_units({1, 0, 0, 1}, {3, -3, -3, 3, 0, 0}),
                                                    two_units({1, 0, 0, 1}, {-3, 3, 3, -3, 0, 0})});
  const auto places = GENERATE("all", "last");
  CAPTURE(places);
  const auto weights = [&](double balance) {
    return merged("zipit", {{"by", "both"}, {"balance", balance}, {"beta", 0}, {"places", places}},
                  networks)
        .weights;
  };
  const StateDict by_activations = weights(0.2), by_weights = weights(0.5);
  CHECK(at::allclose(by_activations.at("hidden.weight"), matrix({2, 2}, {1, 0, 0, 1})));
  CHECK(at::allclose(by_activations.at("head.weight"), at::zeros({3, 2})));
  CHECK(at::allclose(by_weights.at("hidden.weight"), at::full({2, 2}, 0.5)));
  CHECK(at::allclose(by_weights.at("head.weight"), matrix({3, 2}, {3, -3, -3, 3, 0, 0})));
}

TEST_CASE("units of one network are zipped by their weights, too", "[methods][permute][zipit]") {
  // Each network is one unit twice: zipped within, both are there whole.
  const Networks networks = networks_of(kTwoUnits, {two_units({1, 2, 1, 2}, {3, 3, -3, -3, 1, 1}),
                                                    two_units({2, -1, 2, -1}, {1, 1, 2, 2, 5, 5})});
  const auto by = GENERATE("weights", "both");
  CAPTURE(by);
  const auto error = [&](double beta) {
    return error_to_ensemble(merged("zipit", {{"by", by}, {"beta", beta}}, networks), networks);
  };
  CHECK(error(1) < 1e-6);
  CHECK(error(0) > 0.1);
}

TEST_CASE("zipping in both spaces ends at that in one of them", "[methods][permute][zipit]") {
  const auto weights = [](const Json& parameters, const Networks& networks) {
    return merged("zipit", parameters, networks).weights;
  };
  const auto both = [](double balance) { return Json{{"by", "both"}, {"balance", balance}}; };
  const Networks mlps = networks_of(kMlp, {random_mlp(1), random_mlp(2)});
  const StateDict by_activations = weights(Json::object(), mlps);
  const StateDict by_weights = weights({{"by", "weights"}}, mlps);
  CHECK(same_bytes(weights(both(0), mlps), by_activations));
  // These have one group of units. With several it depends on the start where the search ends.
  CHECK(same_bytes(weights(both(1), mlps), by_weights));
  CHECK_FALSE(same_bytes(by_weights, by_activations));
  CHECK_FALSE(same_bytes(weights(both(0.5), mlps), by_activations));

  const Networks resnets = networks_of(
      kResNet,
      {random_resnet(), make_architecture(JsonReader(kResNet, "test"))->initial_weights(2)});
  CHECK(same_bytes(weights(both(0), resnets), weights(Json::object(), resnets)));
}

TEST_CASE("zipping finds a planted permutation of every group", "[methods][permute][zipit]") {
  const StateDict weights = random_resnet();
  const Networks twice = networks_of(kResNet, {weights, weights});
  const Networks planted = networks_of(kResNet, {weights, reordered(weights, twice)});
  // At balance 1 the weights decide, which are alike only where the neighbouring groups are zipped.
  for (const double balance : {0.0, 0.5, 1.0}) {
    CAPTURE(balance);
    const Json parameters{{"by", "both"}, {"balance", balance}, {"beta", 0}};
    const Merged wanted = merged("zipit", parameters, twice);
    const Merged found = merged("zipit", parameters, planted);
    CHECK(found.report.diagnostics.at("sweeps") >= 1);
    for (size_t data = 0; data < 2; ++data)
      CHECK(at::allclose(found.scores(planted, data), wanted.scores(twice, data), 1e-4, 1e-4));
  }
}

TEST_CASE("networks that are not zipped are their ensemble", "[methods][permute][zipit]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2), random_mlp(3)});
  const Merged made = merged("zipit", {{"zipped", 0}}, networks);
  CHECK(made.weights.at("hidden.weight").size(0) == 48);
  CHECK(error_to_ensemble(made, networks) < 1e-6);
}

TEST_CASE("a partial zip of a network with itself computes what a full one does",
          "[methods][permute][zipit]") {
  const auto by = GENERATE("activations", "weights", "both");
  CAPTURE(by);
  const StateDict weights = random_resnet();
  const Networks networks = networks_of(kResNet, {weights, weights});
  const Merged full = merged("zipit", {{"by", by}, {"beta", 0}}, networks);
  const Merged partial = merged("zipit", {{"by", by}, {"beta", 0}, {"zipped", 0.5}}, networks);

  CHECK(partial.weights.at("conv1.weight").size(0) == 4);
  CHECK(partial.weights.at("fc.weight").size(1) == 32);
  CHECK(at::allclose(partial.scores(networks, 0), full.scores(networks, 0), 1e-4, 1e-4));
}
