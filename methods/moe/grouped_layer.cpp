#include "methods/moe/grouped_layer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <map>

#include "harness/core/error.h"
#include "harness/method/layer_inputs.h"

namespace assay {
namespace {

/// The weights of a group's members in the mean.
std::vector<double> weights_of(const GroupedLayer& layer, size_t group, const GroupMerge& merge) {
  const std::vector<int64_t>& members = layer.groups[group];
  return merge.mean == GroupMean::kUniform ? std::vector<double>(members.size(), 1)
                                           : layer.usage(members);
}

Matrices mean_of_group(const GroupedLayer& layer, size_t group, const GroupMerge& merge) {
  const std::vector<Matrices> members = layer.members(layer.groups[group]);
  const std::vector<double> weights = weights_of(layer, group, merge);
  switch (merge.mean) {
    case GroupMean::kUsage:
      return weighted_mean(members, weights, merge.epsilon);
    case GroupMean::kUniform:
      return weighted_mean(members, weights);
    case GroupMean::kDominant:
      return members[static_cast<size_t>(std::max_element(weights.begin(), weights.end()) -
                                         weights.begin())];
    case GroupMean::kFisher: {
      std::vector<Matrices> importance;
      for (const int64_t i : layer.groups[group])
        importance.push_back(layer.importance[static_cast<size_t>(i)]);
      return mean_by_importance(members, importance);
    }
    case GroupMean::kSubspace:
      return subspace_mean(members, weights, merge.subspace);
    case GroupMean::kZip:
      return zip_mean(layer.names, members, weights, layer.moments[group].correlations(),
                      merge.zip_alpha);
  }
  ASSAY_CHECK(false, "no such mean");
}

/// Adds what one group does with these inputs [tokens, width].
void observe_group(const at::Tensor& x, size_t group, const GroupMerge& merge,
                   const Matrices& before_fit, GroupedLayer& layer) {
  const std::vector<Matrices> members = layer.members(layer.groups[group]);
  std::vector<at::Tensor> units;
  for (const Matrices& member : members) units.push_back(hidden_units(layer.names, member, x));
  if (merge.mean == GroupMean::kZip) layer.moments[group].add(at::cat(units, 1));
  if (!merge.refit) return;
  const std::vector<double> weights = shares(weights_of(layer, group, merge));
  const size_t out = output_part(layer.names);
  at::Tensor outputs = at::zeros_like(x);
  for (size_t i = 0; i < members.size(); ++i)
    outputs += units[i].mm(members[i][out].t()) * weights[i];
  layer.fits[group].add(hidden_units(layer.names, before_fit, x), outputs);
}

}  // namespace

std::vector<Matrices> GroupedLayer::members(const std::vector<int64_t>& group) const {
  std::vector<Matrices> chosen;
  for (const int64_t i : group) chosen.push_back(experts[static_cast<size_t>(i)]);
  return chosen;
}

std::vector<double> GroupedLayer::usage(const std::vector<int64_t>& group) const {
  std::vector<double> chosen;
  for (const int64_t i : group)
    chosen.push_back(routing.usage.empty() ? 1 : routing.usage[static_cast<size_t>(i)]);
  return chosen;
}

void match_units(GroupedLayer& layer, int64_t target, int64_t expert) {
  const auto place = static_cast<size_t>(expert);
  const std::vector<int64_t> order =
      unit_order(layer.names, layer.experts[static_cast<size_t>(target)], layer.experts[place]);
  layer.experts[place] = in_order(layer.names, layer.experts[place], order);
  if (!layer.importance.empty())
    layer.importance[place] = in_order(layer.names, layer.importance[place], order);
}

void observe_groups(const ModelJob& job, const StateDict& weights, int64_t batch,
                    const GroupMerge& merge, std::vector<GroupedLayer>& layers) {
  std::map<std::string, std::pair<GroupedLayer*, std::vector<Matrices>>> by_router;
  for (GroupedLayer& layer : layers) {
    auto& [place, before_fit] = by_router[layer.names.router];
    place = &layer;
    for (size_t g = 0; g < layer.groups.size(); ++g)
      before_fit.push_back(merge.refit ? mean_of_group(layer, g, merge) : Matrices());
    layer.moments.resize(layer.groups.size());
    layer.fits.resize(layer.groups.size());
  }
  const SeeLayer see = [&](const std::string& name,
                           const std::function<at::Tensor(LayerValue)>& values) {
    const auto found = by_router.find(name);
    if (found == by_router.end()) return;
    GroupedLayer& layer = *found->second.first;
    const at::Tensor x = values(LayerValue::kInputs).to(at::kDouble);
    if (x.size(0) == 0) return;
    for (size_t g = 0; g < layer.groups.size(); ++g)
      if (layer.groups[g].size() > 1) observe_group(x, g, merge, found->second.second[g], layer);
  };
  const Network& network = job.evidence().network();
  const LayerInputs& inputs = layer_inputs(network);
  for (int64_t first = 0; first < network.examples(0); first += batch)
    inputs.observe(weights, 0, first, std::min(batch, network.examples(0) - first), see);
}

std::vector<Matrices> merged_groups(const GroupedLayer& layer, const GroupMerge& merge) {
  std::vector<Matrices> made;
  for (size_t g = 0; g < layer.groups.size(); ++g) {
    if (layer.groups[g].size() == 1) {
      made.push_back(layer.experts[static_cast<size_t>(layer.groups[g].front())]);
      continue;
    }
    Matrices& merged = made.emplace_back(mean_of_group(layer, g, merge));
    if (!merge.refit) continue;
    at::Tensor& output = merged[output_part(layer.names)];
    output = layer.fits[g].solve(output, merge.ridge);
  }
  return made;
}

}  // namespace assay
