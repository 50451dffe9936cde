/// What methods ask of data, given by hand.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "harness/method/evidence.h"
#include "harness/method/layer_inputs.h"
#include "harness/method/routed_network.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

namespace assay::testing {

/// A network that is a function, with a number of examples for each expert.
class FakeNetwork : public Network, public LayerInputs, public RoutedNetwork {
 public:
  using Logits = std::function<at::Tensor(const StateDict& weights, size_t expert, int64_t first,
                                          int64_t count)>;
  using Targets = std::function<at::Tensor(size_t expert, int64_t first, int64_t count)>;
  FakeNetwork(std::vector<int64_t> examples, Logits logits, Targets targets = {})
      : examples_(std::move(examples)), logits_(std::move(logits)), targets_(std::move(targets)) {}
  int64_t examples(size_t expert) const override { return examples_.at(expert); }
  at::Tensor logits(const StateDict& weights, size_t expert, int64_t first,
                    int64_t count) const override {
    REQUIRE((first >= 0 && count > 0 && first + count <= examples(expert)));
    return logits_(weights, expert, first, count);
  }
  at::Tensor targets(size_t expert, int64_t first, int64_t count) const override {
    if (!targets_) throw std::logic_error("no targets");
    return targets_(expert, first, count);
  }
  at::Tensor routed_logits(const StateDict& weights, size_t expert, int64_t first, int64_t count,
                           const RouteTokens& route,
                           std::vector<RouterScores>& routers) const override {
    if (routed) routers.push_back(routed(weights));
    return mixed && route ? mixed(weights, route) : logits(weights, expert, first, count);
  }
  at::Tensor row_examples(size_t, int64_t, int64_t count) const override {
    return at::arange(count);
  }
  StateDict input_grams(const StateDict& weights, size_t expert,
                        const std::vector<LayerInfo>& layers) const override {
    return grams(weights, expert, layers);
  }

  void observe(const StateDict& weights, size_t expert, int64_t first, int64_t count,
               const SeeLayer& see) const override {
    observed(weights, expert, first, count, see);
  }
  StateDict running_moments(const StateDict& weights, const std::vector<size_t>& experts,
                            int64_t batch) const override {
    return moments ? moments(weights, experts, batch) : StateDict();
  }

  /// What a router scores.
  std::function<RouterScores(const StateDict& weights)> routed;
  /// The scores where a method sends the tokens.
  std::function<at::Tensor(const StateDict& weights, const RouteTokens& route)> mixed;
  /// What layers read and give.
  std::function<void(const StateDict& weights, size_t expert, int64_t first, int64_t count,
                     const SeeLayer& see)>
      observed;
  std::function<StateDict(const StateDict& weights, const std::vector<size_t>& experts,
                          int64_t batch)>
      moments;
  /// Gram matrices of what layers read.
  std::function<StateDict(const StateDict& weights, size_t expert,
                          const std::vector<LayerInfo>& layers)>
      grams;

 private:
  std::vector<int64_t> examples_;
  Logits logits_;
  Targets targets_;
};

/// All that is asked for must have been put here.
class FakeEvidence : public Evidence {
 public:
  /// By name of the statistic, for each expert.
  std::map<std::string, std::vector<StateDict>> statistics;
  std::map<std::string, LayerInfo> layers;  ///< by weight
  std::map<std::string, int64_t> blocks;    ///< by tensor
  std::shared_ptr<const Network> of_network;
  std::vector<PermutationGroup> groups;

  std::vector<PermutationGroup> permutations() const override { return groups; }
  std::shared_ptr<const TensorSource> statistic(const StatisticRef& wanted,
                                                size_t expert) const override {
    return source(fmt::format("{} of expert {}", wanted.name, expert),
                  statistics.at(wanted.name).at(expert));
  }
  const Network& network() const override { return *of_network; }
  /// The same function, whatever the shape.
  std::unique_ptr<const Network> network_of(const Json& config) const override {
    const auto* same = dynamic_cast<const FakeNetwork*>(of_network.get());
    if (!same) return Evidence::network_of(config);
    return std::make_unique<FakeNetwork>(*same);
  }
  const LayerInfo* layer(const std::string& weight) const override {
    const auto found = layers.find(weight);
    return found == layers.end() ? nullptr : &found->second;
  }
  std::optional<int64_t> block(const std::string& tensor) const override {
    const auto found = blocks.find(tensor);
    return found == blocks.end() ? std::nullopt : std::optional(found->second);
  }

  /// A linear layer with an input of its own.
  void add_linear(const std::string& weight, int64_t inputs, bool in_out = false) {
    layers[weight] = {.weight = weight, .in_out = in_out, .inputs = inputs, .input = weight};
  }
};

/// The Gram matrix of a layer's inputs.
inline at::Tensor gram_of(const at::Tensor& inputs) {  // [examples, inputs]
  const at::Tensor x = inputs.to(at::kDouble);
  return x.t().mm(x) / x.size(0);
}

}  // namespace assay::testing
