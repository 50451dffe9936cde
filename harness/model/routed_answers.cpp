/// What a routed ensemble decides, and the model that answers then.
#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/ensemble.h"
#include "harness/model/hidden_mixture.h"
#include "harness/model/internal/layer_mixture.h"
#include "harness/model/routed.h"
#include "harness/model/router_observer.h"

namespace assay {

StateDict RoutedArchitecture::member_weights(const StateDict& weights, size_t member) const {
  const std::string prefix = routed_names::member_prefix(member);
  StateDict own;
  for (auto it = weights.lower_bound(prefix); it != weights.end() && it->first.starts_with(prefix);
       ++it)
    own.emplace(it->first.substr(prefix.size()), it->second);
  return own;
}

StateDict RoutedArchitecture::answering_weights(const StateDict& weights, size_t member) const {
  StateDict own = member_weights(weights, member);
  for (const std::string& name : options_.shared) own[name] = weights.at(name);
  return own;
}

std::vector<double> RoutedArchitecture::equal_shares() const {
  return {std::vector<double>(static_cast<size_t>(options_.members),
                              1 / static_cast<double>(options_.members))};
}

std::vector<double> RoutedArchitecture::decide(const StateDict& weights,
                                               const TokenIds& prompt) const {
  std::vector<double> shares = equal_shares();
  if (options_.router != SequenceRouterKind::kUniform && prompt.size() >= router_->least_tokens()) {
    std::vector<StateDict> members;
    for (size_t i = 0; i < members_.size(); ++i) members.push_back(member_weights(weights, i));
    StateDict own;
    for (auto it = weights.lower_bound(std::string(routed_names::kRouter));
         it != weights.end() && it->first.starts_with(routed_names::kRouter); ++it)
      own.emplace(it->first.substr(routed_names::kRouter.size()), it->second);
    shares = shares_of(router_->scores({members_, members, own, prompt}), options_.top_k,
                       options_.temperature);
  }
  if (RouterObserver* observer = RouterObserver::active()) observer->decided(shares);
  return shares;
}

LanguageModel RoutedArchitecture::mixed(const RoutedModel& model,
                                        const std::vector<double>& shares) const {
  std::vector<LanguageModel> chosen;
  std::vector<double> own;
  std::vector<size_t> places;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] == 0) continue;
    chosen.push_back(
        {members_[i], answering_weights(model.weights, i), model.device, model.tokenizer, ""});
    own.push_back(shares[i]);
    places.push_back(i);
  }
  const auto answering = [&](std::shared_ptr<const LanguageArchitecture> architecture) {
    return LanguageModel{std::move(architecture), {}, model.device, model.tokenizer, ""};
  };
  if (options_.mix == RoutingOptions::Mix::kHidden) {
    std::vector<HiddenMember> members;
    for (size_t i = 0; i < chosen.size(); ++i)
      members.push_back({std::move(chosen[i]),
                         model.weights.at(routed_names::projector_in(places[i])),
                         model.weights.at(routed_names::projector_out(places[i])), own[i]});
    return answering(hidden_mixture(std::move(members), model.weights.at(routed_names::kEmbedding),
                                    model.weights.at(routed_names::kHead)));
  }
  if (chosen.size() == 1) return chosen.front();
  if (layered_) return answering(layer_mixture(layered_, std::move(chosen), own));
  const EnsembleRule rule = options_.mix == RoutingOptions::Mix::kLogits
                                ? EnsembleRule::kLogits
                                : EnsembleRule::kProbabilities;
  return answering(weighted_ensemble(std::move(chosen), std::move(own), rule));
}

at::Tensor RoutedArchitecture::logits(const StateDict& weights, const at::Tensor& ids) const {
  if (ids.dim() != 2)
    data_error("a language model takes ids of shape [rows, tokens], found {}",
               shape_text(ids.sizes()));
  const at::Tensor on_host = ids.to(at::kCPU, at::kLong).contiguous();
  const RoutedModel model{nullptr, weights, ids.device(), nullptr, ""};
  std::vector<at::Tensor> rows;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t* first = on_host.const_data_ptr<int64_t>() + row * ids.size(1);
    const LanguageModel answering =
        mixed(model, decide(weights, TokenIds(first, first + ids.size(1))));
    rows.push_back(
        answering.architecture->logits(answering.weights, ids.narrow(0, row, 1)).squeeze(0));
  }
  return at::stack(rows);
}

}  // namespace assay
