#include "methods/permute/matching.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "harness/core/rng.h"
#include "harness/kernels/assignment.h"
#include "harness/kernels/one_thread.h"
#include "harness/kernels/parallel.h"
#include "methods/permute/weight_products.h"

namespace assay {
namespace {

std::string describe(const PermutationGroup& group) {
  return fmt::format("the units of '{}'", group.axes.front().tensor);
}

/// Moments of what the first network's units and the other's are made of, a row per entry; the
/// other groups of the latter are reordered.
PairMoments weight_moments(const UnitGroups& groups, size_t group, const StateDict& first,
                           const StateDict& other, const std::vector<UnitOrder>& orders) {
  const int64_t units = groups.units(group);
  PairMoments moments;
  for (const UnitAxis& axis : groups.groups()[group].axes) {
    if (is_running_moment(axis.tensor)) continue;
    const at::Tensor b = groups.reordered(axis.tensor, other.at(axis.tensor), orders, &axis);
    moments.add(unit_rows(first.at(axis.tensor), axis, units).t(), unit_rows(b, axis, units).t());
  }
  return moments;
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

std::vector<UnitPlace> places_of(const UnitGroups& groups, const Evidence& evidence,
                                 UnitPlaces wanted) {
  std::vector<UnitPlace> places;
  for (size_t i = 0; i < groups.size(); ++i) {
    std::optional<UnitPlace> last;
    int64_t deepest = -1;
    for (const UnitAxis& axis : groups.groups()[i].axes) {
      const LayerInfo* layer = evidence.layer(axis.tensor);
      if (!layer || axis.axis > 1) continue;
      const bool reads = (axis.axis == 1) != layer->in_out;
      if (reads && layer->input != layer->weight) continue;  // another layer read the same
      UnitPlace place{i, axis.tensor, reads ? LayerValue::kChannels : LayerValue::kOutputs, &axis};
      if (wanted == UnitPlaces::kAll) {
        places.push_back(std::move(place));
      } else if (reads && layer->depth > deepest) {
        deepest = layer->depth;
        last = std::move(place);
      }
    }
    if (last) places.push_back(std::move(*last));
  }
  return places;
}

/// Means over the places of each group of what `add` makes of the networks' values there; a matrix
/// has `times` as many rows as there are units.
std::vector<at::Tensor> similarities_of(
    const UnitGroups& groups, const Evidence& evidence, const MatchingData& data,
    const std::vector<StateDict>& networks, UnitSimilarity kind, UnitPlaces wanted, int64_t times,
    const std::function<void(const std::vector<at::Tensor>& values, PairMoments& sum)>& add) {
  const c10::NoGradGuard no_gradients;
  const OneThread one;
  const std::vector<UnitPlace> places = places_of(groups, evidence, wanted);
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
  std::vector<int64_t> counts(groups.size(), 0);
  for (size_t i = 0; i < places.size(); ++i) {
    if (moments[i].rows == 0) continue;
    similarities[places[i].group] += moments[i].similarity(kind).cpu();
    ++counts[places[i].group];
  }
  for (size_t i = 0; i < groups.size(); ++i)
    if (counts[i] > 0) similarities[i] /= counts[i];
  return similarities;
}

/// Visits groups in an order drawn anew in each sweep, and gives each the order of its units that
/// fits best those of the others, until none grows.
Matching ascend(const UnitGroups& groups, uint64_t key, int64_t max_sweeps,
                std::vector<UnitOrder> start,
                const std::function<at::Tensor(size_t group, const std::vector<UnitOrder>& orders)>&
                    similarity) {
  Matching matching;
  matching.orders = std::move(start);
  matching.similarities.resize(groups.size());
  Rng rng(key);
  for (bool grew = true; grew && matching.sweeps < max_sweeps; ++matching.sweeps) {
    grew = false;
    for (const int64_t next : rng.permutation(static_cast<int64_t>(groups.size()))) {
      const auto group = static_cast<size_t>(next);
      const at::Tensor similarities = similarity(group, matching.orders);
      if (similarities.is_same(matching.similarities[group])) continue;  // its order fits them best
      UnitOrder order = assign(similarities, Assign::kMaximize, describe(groups.groups()[group]));
      UnitOrder& before = matching.orders[group];
      if (value_of(similarities, order) > value_of(similarities, before) + 1e-12) {
        before = std::move(order);
        grew = true;
      }
      matching.similarities[group] = similarities;
    }
  }
  return matching;
}

}  // namespace

Matching match_weights(const UnitGroups& groups, const StateDict& first, const StateDict& other,
                       uint64_t key, int64_t max_sweeps, std::vector<UnitOrder> start) {
  const OneThreadEach threads;
  WeightProducts products(groups, first, other);
  return ascend(groups, key, max_sweeps, start.empty() ? groups.identity() : std::move(start),
                [&](size_t group, const std::vector<UnitOrder>& orders) {
                  return products.of(group, orders);
                });
}

Matching match_both(const UnitGroups& groups, const StateDict& first, const StateDict& other,
                    const std::vector<at::Tensor>& similarities, double balance, uint64_t key,
                    int64_t max_sweeps) {
  const OneThread one;  // products over more threads would be added up in another order
  return ascend(groups, key, max_sweeps, match_activations(groups, similarities).orders,
                [&](size_t group, const std::vector<UnitOrder>& orders) {
                  return balance * weight_moments(groups, group, first, other, orders)
                                       .similarity(UnitSimilarity::kCorrelation)
                                       .cpu() +
                         (1 - balance) * similarities[group];
                });
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
                                                const StateDict& other, UnitSimilarity kind,
                                                UnitPlaces places) {
  return similarities_of(groups, evidence, data, {first, other}, kind, places, 1,
                         [](const std::vector<at::Tensor>& values, PairMoments& sum) {
                           sum.add(values[0], values[1]);
                         });
}

std::vector<at::Tensor> joint_similarities(const UnitGroups& groups, const Evidence& evidence,
                                           const MatchingData& data,
                                           const std::vector<StateDict>& networks,
                                           UnitSimilarity kind, UnitPlaces places) {
  return similarities_of(groups, evidence, data, networks, kind, places,
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
