#include "methods/permute/matching.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "harness/core/rng.h"
#include "harness/kernels/assignment.h"
#include "harness/kernels/one_thread.h"

namespace assay {
namespace {

std::string describe(const PermutationGroup& group) {
  return fmt::format("the units of '{}'", group.axes.front().tensor);
}

/// Inner products [units, units] of what the first network's units and the other's are made of,
/// the other groups of which are reordered.
at::Tensor weight_products(const UnitGroups& groups, size_t group, const StateDict& first,
                           const StateDict& other, const std::vector<UnitOrder>& orders) {
  const int64_t units = groups.units(group);
  at::Tensor sum = at::zeros({units, units}, at::kDouble);
  for (const UnitAxis& axis : groups.groups()[group].axes) {
    if (is_running_moment(axis.tensor)) continue;
    const at::Tensor b = groups.reordered(axis.tensor, other.at(axis.tensor), orders, &axis);
    sum +=
        at::mm(unit_rows(first.at(axis.tensor), axis, units), unit_rows(b, axis, units).t()).cpu();
  }
  return sum;
}

double value_of(const at::Tensor& similarities, const UnitOrder& order) {
  const double* values = similarities.data_ptr<double>();
  double sum = 0;
  for (size_t i = 0; i < order.size(); ++i)
    sum += values[static_cast<int64_t>(i * order.size()) + order[i]];
  return sum;
}

/// A place where a layer reads or gives units of a group.
struct UnitPlace {
  size_t group;
  std::string weight;
  LayerValue value;
  const UnitAxis* axis;
};

std::vector<UnitPlace> places_of(const UnitGroups& groups, const Evidence& evidence) {
  std::vector<UnitPlace> places;
  for (size_t i = 0; i < groups.size(); ++i)
    for (const UnitAxis& axis : groups.groups()[i].axes) {
      const LayerInfo* layer = evidence.layer(axis.tensor);
      if (!layer || axis.axis > 1) continue;
      const bool reads = (axis.axis == 1) != layer->in_out;
      if (reads && layer->input != layer->weight) continue;  // another layer read the same
      places.push_back(
          {i, axis.tensor, reads ? LayerValue::kChannels : LayerValue::kOutputs, &axis});
    }
  return places;
}

/// Sums over the places of each group of what `add` makes of the networks' values there; a matrix
/// has `times` as many rows as there are units.
std::vector<at::Tensor> similarities_of(
    const UnitGroups& groups, const Evidence& evidence, const MatchingData& data,
    const std::vector<StateDict>& networks, UnitSimilarity kind, int64_t times,
    const std::function<void(const std::vector<at::Tensor>& values, PairMoments& sum)>& add) {
  const c10::NoGradGuard no_gradients;
  const OneThread one;
  const std::vector<UnitPlace> places = places_of(groups, evidence);
  std::vector<PairMoments> moments(places.size());
  for (size_t expert = 0; expert < data.examples.size(); ++expert)
    for (int64_t first = 0; first < data.examples[expert]; first += data.batch) {
      std::vector<std::vector<at::Tensor>> values(places.size());  // of each network
      for (const StateDict& network : networks)
        data.network.observe(
            network, expert, first, std::min(data.batch, data.examples[expert] - first),
            [&](const std::string& weight, const std::function<at::Tensor(LayerValue)>& value) {
              for (size_t i = 0; i < places.size(); ++i)
                if (places[i].weight == weight)
                  values[i].push_back(unit_columns(value(places[i].value), *places[i].axis,
                                                   groups.units(places[i].group)));
            });
      for (size_t i = 0; i < places.size(); ++i) {
        const auto same_rows = [&](const at::Tensor& x) {
          return x.size(0) == values[i][0].size(0);
        };
        // Networks may send other tokens to an expert of a mixture.
        if (values[i].size() == networks.size() && values[i][0].size(0) > 0 &&
            std::all_of(values[i].begin(), values[i].end(), same_rows))
          add(values[i], moments[i]);
      }
    }
  std::vector<at::Tensor> similarities;
  for (size_t i = 0; i < groups.size(); ++i)
    similarities.push_back(
        at::zeros({times * groups.units(i), times * groups.units(i)}, at::kDouble));
  for (size_t i = 0; i < places.size(); ++i)
    if (moments[i].rows > 0) similarities[places[i].group] += moments[i].similarity(kind).cpu();
  return similarities;
}

}  // namespace

Matching match_weights(const UnitGroups& groups, const StateDict& first, const StateDict& other,
                       uint64_t key, int64_t max_sweeps, std::vector<UnitOrder> start) {
  const OneThread one;  // products over more threads would be added up in another order
  Matching matching;
  matching.orders = start.empty() ? groups.identity() : std::move(start);
  matching.similarities.resize(groups.size());
  Rng rng(key);
  for (bool grew = true; grew && matching.sweeps < max_sweeps; ++matching.sweeps) {
    grew = false;
    for (const int64_t next : rng.permutation(static_cast<int64_t>(groups.size()))) {
      const auto group = static_cast<size_t>(next);
      const at::Tensor products = weight_products(groups, group, first, other, matching.orders);
      UnitOrder order = assign(products, Assign::kMaximize, describe(groups.groups()[group]));
      UnitOrder& before = matching.orders[group];
      if (value_of(products, order) > value_of(products, before) + 1e-12) {
        before = std::move(order);
        grew = true;
      }
      matching.similarities[group] = products;
    }
  }
  return matching;
}

MatchingData matching_data(const ModelJob& job, int64_t batch) {
  const Network& network = job.evidence().network();
  MatchingData data{layer_inputs(network), {}, batch};
  for (size_t i = 0; i < job.num_experts(); ++i) data.examples.push_back(network.examples(i));
  return data;
}

void PairMoments::add(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  const auto accumulate = [](at::Tensor& sum, const at::Tensor& value) {
    sum = sum.defined() ? sum.add_(value) : value;
  };
  rows += static_cast<double>(x.size(0));
  accumulate(sum_a, x.sum(0));
  accumulate(sum_b, y.sum(0));
  accumulate(squares_a, x.square().sum(0));
  accumulate(squares_b, y.square().sum(0));
  accumulate(products, at::mm(x.t(), y));
}

at::Tensor PairMoments::similarity(UnitSimilarity kind) const {
  if (kind == UnitSimilarity::kProduct) return products / rows;
  if (kind == UnitSimilarity::kDistance)
    return (2 * products - squares_a.unsqueeze(1) - squares_b.unsqueeze(0)) / rows;
  const at::Tensor mean_a = sum_a / rows, mean_b = sum_b / rows;
  const at::Tensor covariance = products / rows - at::outer(mean_a, mean_b);
  const at::Tensor deviation_a = (squares_a / rows - mean_a.square()).clamp_min(0).sqrt();
  const at::Tensor deviation_b = (squares_b / rows - mean_b.square()).clamp_min(0).sqrt();
  const at::Tensor scale = at::outer(deviation_a, deviation_b);
  return at::where(scale > 0, covariance / scale, at::zeros_like(covariance));
}

std::vector<at::Tensor> activation_similarities(const UnitGroups& groups, const Evidence& evidence,
                                                const MatchingData& data, const StateDict& first,
                                                const StateDict& other, UnitSimilarity kind) {
  return similarities_of(groups, evidence, data, {first, other}, kind, 1,
                         [](const std::vector<at::Tensor>& values, PairMoments& sum) {
                           sum.add(values[0], values[1]);
                         });
}

std::vector<at::Tensor> joint_similarities(const UnitGroups& groups, const Evidence& evidence,
                                           const MatchingData& data,
                                           const std::vector<StateDict>& networks,
                                           UnitSimilarity kind) {
  return similarities_of(groups, evidence, data, networks, kind,
                         static_cast<int64_t>(networks.size()),
                         [](const std::vector<at::Tensor>& values, PairMoments& sum) {
                           const at::Tensor all = at::cat(values, 1);
                           sum.add(all, all);
                         });
}

Matching match_activations(const UnitGroups& groups, std::vector<at::Tensor> similarities) {
  Matching matching;
  for (size_t i = 0; i < groups.size(); ++i)
    matching.orders.push_back(
        assign(similarities[i], Assign::kMaximize, describe(groups.groups()[i])));
  matching.similarities = std::move(similarities);
  return matching;
}

}  // namespace assay
