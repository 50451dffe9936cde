#include "harness/calibration/internal/calibrated_network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "harness/calibration/internal/gradients.h"
#include "harness/calibration/internal/state_observer.h"
#include "harness/calibration/statistic.h"
#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/model/batch_norm.h"
#include "harness/model/forward.h"
#include "harness/model/observer.h"
#include "harness/model/route_override.h"
#include "harness/model/router_observer.h"

namespace assay {
namespace {

/// Shows layers under the names of the merge.
class ShowLayers final : public LayerObserver {
 public:
  ShowLayers(const std::map<std::string, std::string>& names, const SeeLayer& see)
      : names_(names), see_(see) {}
  void layer(const LayerInput& /*input*/) override {}
  void output(const LayerInput& input, const at::Tensor& y) override {
    const auto name = names_.find(input.weight);
    if (name == names_.end()) return;
    see_(name->second, [&](LayerValue value) {
      switch (value) {
        case LayerValue::kChannels:
          return output_rows(input.x, input.kind, CountedTokens::current());
        case LayerValue::kInputs:
          return counted_rows(input);
        case LayerValue::kOutputs:
          return output_rows(y, input.kind, CountedTokens::current());
      }
      ASSAY_CHECK(false, "no such value of a layer");
    });
  }

 private:
  const std::map<std::string, std::string>& names_;
  const SeeLayer& see_;
};

/// Keeps what blocks read of the tokens that count, with gradients.
class KeepStates final : public LayerObserver {
 public:
  explicit KeepStates(std::vector<at::Tensor>& states) : states_(states) {}
  void layer(const LayerInput& /*input*/) override {}
  void hidden(BlockPlace place, const at::Tensor& x) override {
    if (place != BlockPlace::kInput) return;
    const at::Tensor counted = CountedTokens::current();
    states_.push_back(counted.defined() ? x.index({counted.to(x.device())})
                                        : x.reshape({-1, x.size(-1)}));
  }

 private:
  std::vector<at::Tensor>& states_;
};

/// Keeps what routers score of the tokens that count.
class KeepScores final : public RouterObserver {
 public:
  explicit KeepScores(std::vector<RouterScores>& routers) : routers_(routers) {}
  void routed(const RoutedTokens& tokens) override {
    at::Tensor logits = tokens.logits;
    if (const at::Tensor mask = CountedTokens::current(); mask.defined())
      logits = logits.index_select(0, mask.flatten().nonzero().flatten().to(logits.device()));
    const auto [known, is_new] = places_.emplace(tokens.router, routers_.size());
    if (is_new)
      routers_.push_back({logits, tokens.experts.size(1)});
    else  // a pass over other examples
      routers_[known->second].logits = at::cat({routers_[known->second].logits, logits});
  }

 private:
  std::vector<RouterScores>& routers_;
  std::map<std::string, size_t> places_;  ///< in `routers_`, by the router's weight
};

}  // namespace

CalibratedNetwork::CalibratedNetwork(std::shared_ptr<const Architecture> architecture,
                                     std::shared_ptr<const TensorSource> reference,
                                     at::Device device,
                                     std::map<std::string, std::string> own_names, DataOf data,
                                     std::map<size_t, size_t> negatives)
    : architecture_(std::move(architecture)),
      reference_(std::move(reference)),
      device_(device),
      own_names_(std::move(own_names)),
      open_data_(std::move(data)),
      negatives_(std::move(negatives)) {}

std::optional<size_t> CalibratedNetwork::negatives(size_t expert) const {
  const auto found = negatives_.find(expert);
  return found == negatives_.end() ? std::nullopt : std::optional(found->second);
}

const CalibrationData& CalibratedNetwork::data(size_t expert) const {
  const std::lock_guard lock(mutex_);
  auto& known = data_[expert];
  if (!known) known = open_data_(expert);
  return *known;
}

StateDict CalibratedNetwork::own_weights(const StateDict& weights) const {
  StateDict all;
  {
    const std::lock_guard lock(mutex_);
    if (reference_weights_.empty() && reference_)
      reference_weights_ = load_weights(*architecture_, *reference_, device_, at::kFloat);
    all = reference_weights_;
  }
  const CheckpointNames names = architecture_->checkpoint_names();
  if (!reference_) {
    for (const auto& [name, weight] : weights)
      all[canonical_name(names, name)] = weight.to(device_, at::kFloat);
    for (const auto& [name, original] : names.substituted)
      if (!all.contains(name)) all[name] = all.at(original);
    return all;
  }
  const StateDict reference = all;
  for (const auto& [name, weight] : weights) {
    const auto own = own_names_.find(name);
    if (own == own_names_.end()) user_error("the network has no weight '{}'", name);
    // Buffers, and copies of a tied head, are no weights of the architecture.
    if (const auto found = all.find(own->second); found != all.end())
      found->second = weight.to(device_, at::kFloat);
  }
  // A head that the checkpoint does not store is its embedding, whatever that is now.
  for (const auto& [name, original] : names.substituted)
    if (const auto copy = reference.find(name);
        copy != reference.end() && copy->second.is_same(reference.at(original)))
      all[name] = all.at(original);
  return all;
}

at::Tensor CalibratedNetwork::logits(const StateDict& weights, size_t expert, int64_t first,
                                     int64_t count) const {
  const ModelBatch batch = moved(data(expert).batch(first, count), device_);
  counters::examples += count;
  return class_logits(*architecture_, own_weights(weights), batch);
}

at::Tensor CalibratedNetwork::logits_by_length(const StateDict& weights, size_t expert,
                                               int64_t first, int64_t count) const {
  const CalibrationData& examples = data(expert);
  const StateDict own = own_weights(weights);
  counters::examples += count;
  std::vector<at::Tensor> scores, of_rows;
  for (const std::vector<int64_t>& places : examples.by_length(first, count)) {
    const ModelBatch batch = examples.batch(places);
    scores.push_back(class_logits(*architecture_, own, moved(batch, device_)));
    of_rows.push_back(at::tensor(places, at::kLong).index_select(0, assay::row_examples(batch)));
  }
  if (scores.size() == 1) return scores.front();
  // Back in the order of the examples; the rows of one stay in theirs.
  const at::Tensor order = at::cat(of_rows).argsort(/*stable=*/true, /*dim=*/0);
  return at::cat(scores).index_select(0, order.to(device_));
}

at::Tensor CalibratedNetwork::routed_logits(const StateDict& weights, size_t expert, int64_t first,
                                            int64_t count, const RouteTokens& route,
                                            std::vector<RouterScores>& routers) const {
  const KeepScores observer(routers);
  if (!route) return logits_by_length(weights, expert, first, count);
  const std::map<std::string, std::string> names = merge_names(weights);
  const RouteOverride under_merge_names([&](const TokensToRoute& tokens) {
    return route({names.at(tokens.router), tokens.logits, tokens.counted, tokens.own});
  });
  return logits(weights, expert, first, count);
}

at::Tensor CalibratedNetwork::logits_and_states(const StateDict& weights, size_t expert,
                                                int64_t first, int64_t count,
                                                std::vector<at::Tensor>& states) const {
  const KeepStates observer(states);
  return logits(weights, expert, first, count);
}

StateDict CalibratedNetwork::input_grams(const StateDict& weights, size_t expert,
                                         const std::vector<LayerInfo>& layers) const {
  const c10::NoGradGuard no_gradients;
  StatisticPasses passes;
  passes.layers.emplace_back();
  std::map<std::string, std::string> merge_names;  // by the architecture's
  for (LayerInfo layer : layers) {
    for (std::string* name : {&layer.weight, &layer.input}) {
      const std::string& own = own_names_.at(*name);
      merge_names.emplace(own, *name);
      *name = own;
    }
    passes.layers.front().push_back(std::move(layer));
  }
  const StatisticRef reference = complete({"input_gram"});
  const auto statistic = make_statistic(reference.name, JsonReader(reference.parameters, "merge"));
  StatisticTensors found = compute_statistic(*statistic, *architecture_, own_weights(weights),
                                             data(expert), 0, kBatchTokens, passes);
  StateDict grams;
  for (auto& [name, gram] : found.tensors) grams.emplace(merge_names.at(name), std::move(gram));
  return grams;
}

void CalibratedNetwork::observe(const StateDict& weights, size_t expert, int64_t first,
                                int64_t count, const SeeLayer& see) const {
  const c10::NoGradGuard no_gradients;
  const std::map<std::string, std::string> names = merge_names();
  const ModelBatch batch = moved(data(expert).batch(first, count), device_);
  counters::examples += count;
  ShowLayers observer(names, see);
  row_logits(*architecture_, own_weights(weights), batch);
}

StateDict CalibratedNetwork::running_moments(const StateDict& weights,
                                             const std::vector<size_t>& experts,
                                             int64_t batch) const {
  const c10::NoGradGuard no_gradients;
  const std::map<std::string, std::string> names = merge_names();
  const StateDict own = own_weights(weights);
  NamedSums sums;
  int64_t batches = 0;
  for (const size_t expert : experts)
    for (int64_t first = 0; first < examples(expert); first += batch) {
      const int64_t count = std::min(batch, examples(expert) - first);
      if (count < batch && first > 0) break;  // moments of a few examples would count as much
      BatchNormByBatch by_batch;
      row_logits(*architecture_, own, moved(data(expert).batch(first, count), device_));
      counters::examples += count;
      ++batches;
      StateDict moments;
      for (const auto& [name, value] : by_batch.running_moments())
        if (const auto known = names.find(name); known != names.end())
          moments[known->second] = value;
      if (moments.empty()) return {};  // no layer has any: no more passes
      sums.add(moments);
    }
  return sums.means(batches, at::kFloat);
}

std::map<std::string, std::string> CalibratedNetwork::merge_names() const {
  std::map<std::string, std::string> names;
  for (const auto& [merged, own] : own_names_) names.emplace(own, merged);
  return names;
}

std::map<std::string, std::string> CalibratedNetwork::merge_names(const StateDict& weights) const {
  if (reference_) return merge_names();
  const CheckpointNames checkpoint = architecture_->checkpoint_names();
  std::map<std::string, std::string> names;
  for (const auto& [name, unused] : weights) names.emplace(canonical_name(checkpoint, name), name);
  return names;
}

at::Tensor CalibratedNetwork::targets(size_t expert, int64_t first, int64_t count) const {
  return data(expert).targets(first, count).to(device_);
}

at::Tensor CalibratedNetwork::row_examples(size_t expert, int64_t first, int64_t count) const {
  return assay::row_examples(data(expert).batch(first, count)).to(device_);
}

std::vector<at::Tensor> CalibratedNetwork::states(size_t expert, int64_t first, int64_t count,
                                                  Tap tap, Tokens tokens) const {
  const c10::NoGradGuard no_gradients;
  const ModelBatch batch = moved(data(expert).batch(first, count), device_);
  counters::examples += count;
  StateObserver observer(tap, tokens);
  row_logits(*architecture_, own_weights({}), batch);
  if (observer.states.empty())
    user_error("hidden states are asked for, and models of type '{}' show none: decoders do",
               architecture_->config().at("model_type").get<std::string>());
  return std::move(observer.states);
}

at::Tensor CalibratedNetwork::embedding_sums(size_t expert, int64_t first, int64_t count) const {
  const c10::NoGradGuard no_gradients;
  const ModelBatch batch = moved(data(expert).batch(first, count), device_);
  counters::examples += count;
  const StateDict weights = own_weights({});
  const at::Tensor rows = at::embedding(embedding(weights), batch.inputs).to(at::kDouble);
  return sum_over_tokens(rows, batch.mask);
}

at::Tensor CalibratedNetwork::token_counts(size_t expert, int64_t first, int64_t count) const {
  const ModelBatch batch = data(expert).batch(first, count);
  counters::examples += count;
  const StateDict weights = own_weights({});
  const at::Tensor counted = batch.mask.defined() ? batch.mask.to(at::kDouble)
                                                  : at::ones(batch.inputs.sizes(), at::kDouble);
  return at::zeros({batch.inputs.size(0), embedding(weights).size(0)}, at::kDouble)
      .scatter_add(1, batch.inputs, counted);
}

const at::Tensor& CalibratedNetwork::embedding(const StateDict& own) const {
  const std::string name = token_embedding(*architecture_, own);
  if (name.empty())
    user_error("embeddings are asked for, and models of type '{}' have none",
               architecture_->config().at("model_type").get<std::string>());
  return own.at(name);
}

}  // namespace assay
