// Methods that match units: on perceptrons and small CNNs with data.
#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "methods/permute/universe.h"
#include "tests/catch.h"
#include "tests/methods/permuted_networks.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// The perceptron with its hidden units in another order.
StateDict with_hidden_units(const StateDict& mlp, const std::vector<int64_t>& order) {
  const at::Tensor index = at::tensor(order);
  StateDict result;
  for (const auto& [name, tensor] : mlp)
    result[name] = name == "head.weight"    ? tensor.index_select(1, index)
                   : name.find("head") == 0 ? tensor
                                            : tensor.index_select(0, index);
  return result;
}

}  // namespace

TEST_CASE("matching finds a planted permutation", "[methods][permute]") {
  const StateDict first = random_mlp(1);
  StateDict other =
      with_hidden_units(first, {3, 9, 0, 14, 7, 1, 12, 5, 15, 2, 8, 11, 4, 13, 6, 10});
  uint64_t key = 40;
  for (auto& [unused, tensor] : other) tensor = tensor + .01 * noise(tensor.sizes(), ++key);
  const Networks networks = networks_of(kMlp, {first, other});

  const auto distance_of = [&](const std::string& ref, const Json& parameters) {
    double farthest = 0;
    for (const auto& [name, tensor] : merged(ref, parameters, networks).weights)
      farthest = std::max(farthest, (tensor - first.at(name)).abs().max().item<double>());
    return farthest;
  };
  CHECK(distance_of("average", Json::object()) > 0.2);
  CHECK(distance_of("git_rebasin", Json::object()) < 0.05);
  for (const char* similarity : {"correlation", "distance"})
    CHECK(distance_of("git_rebasin", {{"by", "activations"}, {"similarity", similarity}}) < 0.05);
  for (const double balance : {0.0, 0.5, 1.0})
    CHECK(distance_of("git_rebasin@mudsc", {{"balance", balance}}) < 0.05);
  CHECK(distance_of("pleas", {{"fit", "none"}}) < 0.05);
}

TEST_CASE("matching by gradients lowers the loss of the mean", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2)});
  const auto loss = [&](const Json& parameters) {
    const Merged made = merged("git_rebasin", parameters, networks);
    double sum = 0;
    for (size_t data = 0; data < networks.data.size(); ++data)
      sum += at::cross_entropy_loss(made.scores(networks, data),
                                    networks.data[data]->targets(0, kExamples))
                 .item<double>();
    return sum / static_cast<double>(networks.data.size());
  };
  const auto after = [&](int64_t steps) {
    return loss(
        {{"by", "gradients"}, {"steps", steps}, {"learning_rate", 1}, {"batch", kExamples}});
  };
  // The first step is weight matching; others are kept only where they are better.
  CHECK(after(1) == Approx(loss(Json::object())));
  CHECK(after(100) < after(1));
}

TEST_CASE("statistics of experts are reordered with their units", "[methods][permute]") {
  const Json cnn{{"model_type", "small_cnn"}, {"channels", 4}, {"hidden", 8}, {"classes", 3}};
  const auto architecture = make_architecture(JsonReader(cnn, "test"));
  const StateDict first = architecture->initial_weights(1);
  StateDict close = first;
  uint64_t key = 60;
  for (auto& [unused, tensor] : close) tensor = tensor + .02 * noise(tensor.sizes(), ++key);
  // The channels of both convolutions, which the hidden layer reads flattened, 49 at a time.
  const at::Tensor four = at::tensor(std::vector<int64_t>{2, 0, 3, 1});
  const at::Tensor eight = at::tensor(std::vector<int64_t>{5, 3, 0, 7, 1, 6, 4, 2});
  StateDict other = close;
  other["conv1.weight"] = close["conv1.weight"].index_select(0, four);
  other["conv1.bias"] = close["conv1.bias"].index_select(0, four);
  other["conv2.weight"] = close["conv2.weight"].index_select(0, eight).index_select(1, four);
  other["conv2.bias"] = close["conv2.bias"].index_select(0, eight);
  other["hidden.weight"] =
      close["hidden.weight"].view({8, 8, 49}).index_select(1, eight).reshape({8, 392});

  for (const char* method : {"regmean", "fisher"}) {
    CAPTURE(method);
    const StateDict wanted =
        merged(method, Json::object(), networks_of(cnn, {first, close})).weights;
    const StateDict made =
        merged("git_rebasin", {{"of", method}}, networks_of(cnn, {first, other})).weights;
    for (const auto& [name, tensor] : wanted) {
      CAPTURE(name);
      CHECK(distance(made.at(name), tensor) < 1e-4);
    }
  }
  const Json kfac{{"of", {{"method", "mats"}, {"objective", "kfac"}}}};
  CHECK_THROWS_WITH(make_method("git_rebasin", JsonReader(kfac, "test")),
                    Catch::Matchers::Contains("cannot be reordered"));
}

TEST_CASE("a partial merge goes from an average to the ensemble", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2)});
  double last = 1e9;
  for (const double ratio : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    CAPTURE(ratio);
    const Merged made = merged("pleas", {{"ratio", ratio}}, networks);
    CHECK(made.weights.at("hidden.weight").size(0) == 16 + std::lround(16 * ratio));
    const double error = error_to_ensemble(made, networks);
    CHECK(error < last);
    last = error;
    if (ratio < 1)  // the fit is what makes it better
      CHECK(error < error_to_ensemble(
                        merged("pleas", {{"ratio", ratio}, {"fit", "none"}}, networks), networks));
  }
  CHECK(last < 1e-6);  // both networks side by side
}

TEST_CASE("a budget of operations makes a network as wide", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2)});
  const Merged made = merged("pleas", {{"budget", 1.5}, {"allocation", "greedy"}}, networks);
  CHECK(made.weights.at("hidden.weight").size(0) == 24);
  CHECK(made.report.diagnostics.at("relative_flops") == Approx(1.5));
  CHECK(same_bytes(made.weights, merged("pleas", {{"ratio", 0.5}}, networks).weights));
}

TEST_CASE("weights and activations are weighed against each other", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2)});
  const auto weights = [&](const Json& parameters) {
    return merged("git_rebasin", parameters, networks).weights;
  };
  const Json both{{"by", "both"}, {"places", "last"}};
  const auto at_balance = [&](double balance) {
    Json parameters = both;
    parameters["balance"] = balance;
    return weights(parameters);
  };
  const StateDict by_activations = weights({{"by", "activations"}, {"places", "last"}});
  CHECK(same_bytes(at_balance(0), by_activations));
  CHECK_FALSE(same_bytes(at_balance(1), by_activations));
}

TEST_CASE("three networks side by side are their ensemble", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2), random_mlp(3)});
  const Merged made = merged("pleas", {{"ratio", 1}}, networks);

  CHECK(made.weights.at("hidden.weight").size(0) == 48);
  CHECK(error_to_ensemble(made, networks) < 1e-6);
}

TEST_CASE("a network merged with itself is what it was, at any width", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(1)});
  for (const double ratio : {0.0, 0.25, 0.5, 1.0})
    CHECK(error_to_ensemble(merged("pleas", {{"ratio", ratio}}, networks), networks) < 1e-6);
}

TEST_CASE("a fit in closed form is no worse than one by Adam", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2)});
  const auto error = [&](const char* fit, double ratio) {
    return merged("pleas", {{"fit", fit}, {"ratio", ratio}, {"steps", 400}}, networks)
        .report.diagnostics.at("error_after_fit")
        .get<double>();
  };
  for (const double ratio : {0.0, 0.5}) CHECK(error("closed_form", ratio) <= error("adam", ratio));
}

TEST_CASE("layers are fitted in as many passes as memory needs", "[methods][permute]") {
  const Json cnn{{"model_type", "small_cnn"}, {"channels", 4}, {"hidden", 8}, {"classes", 3}};
  const auto architecture = make_architecture(JsonReader(cnn, "test"));
  const Networks networks =
      networks_of(cnn, {architecture->initial_weights(1), architecture->initial_weights(2)});

  const Merged one = merged("pleas", Json::object(), networks);
  const Merged several = merged("pleas", {{"gram_mib", 2}}, networks);
  CHECK(one.report.diagnostics.at("passes") == 1);
  CHECK(several.report.diagnostics.at("gram_mib") <= 2);
  CHECK(same_bytes(one.weights, several.weights));
  CHECK_THROWS_WITH(
      merged("pleas", {{"gram_mib", 1}}, networks),
      Catch::Matchers::Contains("hidden.weight") && Catch::Matchers::Contains("'gram_mib'"));
}

TEST_CASE("REPAIR gives units the moments that those of the networks have", "[methods][permute]") {
  const Networks networks = networks_of(kMlp, {random_mlp(1), random_mlp(2)});
  const auto moments = [&](const StateDict& weights) {
    at::Tensor all;
    for (size_t data = 0; data < 2; ++data) {
      const at::Tensor x = networks.data[data]->batch(0, kExamples).inputs;
      const at::Tensor y =
          at::linear(x, weights.at("hidden.weight"), weights.at("hidden.bias")).to(at::kDouble);
      all = all.defined() ? at::cat({all, y}) : y;
    }
    return std::pair(all.mean(0), all.std(0, /*unbiased=*/false));
  };
  const auto a = moments(random_mlp(1)), b = moments(random_mlp(2));
  const auto plain = moments(merged("average", Json::object(), networks).weights);
  const auto repaired = moments(merged("repair", Json::object(), networks).weights);

  CHECK((plain.second - (a.second + b.second) / 2).abs().max().item<double>() > 0.05);
  CHECK(at::allclose(repaired.first, (a.first + b.first) / 2, 1e-4, 1e-4));
  CHECK(at::allclose(repaired.second, (a.second + b.second) / 2, 1e-4, 1e-4));
}

TEST_CASE("what cannot be widened is skipped with the reason", "[methods][permute]") {
  Networks networks = decoders();
  CHECK_THROWS_AS(merged("pleas", {{"ratio", 0.5}}, networks), SkipCell);
  CHECK_THROWS_AS(merged("zipit", {{"zipped", 0.5}}, networks), SkipCell);
}

TEST_CASE("what goes on with a merge needs one of the inputs' shape", "[methods][permute]") {
  const Json parameters{{"of", "moe"}};
  for (const char* method : {"git_rebasin", "repair"})
    CHECK_THROWS_WITH(make_method(method, JsonReader(parameters, "test")),
                      Catch::Matchers::Contains("parameter 'of' is moe, which gives another form"));
}

TEST_CASE("networks are matched in a space of their own", "[methods][permute]") {
  const StateDict first = random_mlp(1);
  std::vector<StateDict> models{first};
  for (const std::vector<int64_t>& order :
       {std::vector<int64_t>{3, 9, 0, 14, 7, 1, 12, 5, 15, 2, 8, 11, 4, 13, 6, 10},
        std::vector<int64_t>{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}})
    models.push_back(with_hidden_units(first, order));
  const Networks networks = networks_of(kMlp, models);
  const auto error = [&](const std::string& ref, const Json& parameters) {
    const Merged made = merged(ref, parameters, networks);
    return (made.scores(networks, 0) - own_scores(networks, 0, 0)).abs().max().item<double>();
  };
  CHECK(error("average", Json::object()) > 0.1);
  CHECK(error("git_rebasin@c2m3", {{"step", "in_turns"}}) < 1e-5);
  CHECK(error("git_rebasin@c2m3", Json::object()) < 1e-5);
  // The first step of two networks together takes each to where the other was.
  uint64_t key = 40;
  for (auto& [unused, tensor] : models[2]) tensor = tensor + .01 * noise(tensor.sizes(), ++key);
  const Networks two = networks_of(kMlp, {first, models[2]});
  for (const char* step : {"together", "in_turns"}) {
    const Merged made = merged("git_rebasin@c2m3", {{"step", step}}, two);
    CHECK((made.scores(two, 0) - own_scores(two, 0, 0)).abs().max().item<double>() < 0.1);
  }
}

TEST_CASE("matching all networks at once comes near the best of all orders", "[methods][permute]") {
  const Json config{{"model_type", "mlp"}, {"inputs", 3}, {"hidden", 4}, {"classes", 2}};
  std::vector<StateDict> models;
  for (const uint64_t seed : {1, 2, 3})
    models.push_back(make_architecture(JsonReader(config, "test"))->initial_weights(seed));
  const Networks networks = networks_of(config, models);
  const NetworkEvidence evidence(networks);
  std::vector<std::string> names;
  for (const auto& [name, unused] : models.front()) names.push_back(name);
  const UnitGroups groups(names, evidence.get(), true, "test");
  // The sum over pairs of the inner products of their weights.
  const auto value = [&](const std::vector<std::vector<UnitOrder>>& orders) {
    double sum = 0;
    for (const std::string& name : names)
      for (size_t a = 0; a < 3; ++a)
        for (size_t b = 0; b < a; ++b)
          sum += (groups.reordered(name, models[a].at(name), orders[a]) *
                  groups.reordered(name, models[b].at(name), orders[b]))
                     .sum()
                     .item<double>();
    return sum;
  };
  double best = -1e9;
  UnitOrder second{0, 1, 2, 3};
  do {
    UnitOrder third{0, 1, 2, 3};
    do best = std::max(best, value({{{0, 1, 2, 3}}, {second}, {third}}));
    while (std::next_permutation(third.begin(), third.end()));
  } while (std::next_permutation(second.begin(), second.end()));
  const double start = value({groups.identity(), groups.identity(), groups.identity()});
  for (const UniverseStep step : {UniverseStep::kTogether, UniverseStep::kInTurns}) {
    const UniverseMatching matching = match_in_universe(groups, models, step, 100);
    INFO(start << " " << value(matching.orders) << " " << best << " " << matching.iterations);
    CHECK(value(matching.orders) > start + 0.9 * (best - start));
    CHECK(value(matching.orders) < best + 1e-6);
  }
}
