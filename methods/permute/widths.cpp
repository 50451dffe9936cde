#include "methods/permute/widths.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "harness/core/error.h"
#include "harness/method/layer_inputs.h"

namespace assay {
namespace {

using Counts = std::vector<int64_t>;

/// Rounding of a sum must not cost a unit.
constexpr double kSlack = 1e-9;

std::vector<size_t> widening_groups(const UnitGroups& groups) {
  std::vector<size_t> widening;
  for (size_t i = 0; i < groups.size(); ++i)
    if (PartialMerge::can_widen(groups, i)) widening.push_back(i);
  return widening;
}

/// The last so many groups that can be widened keep all of their units.
Counts zipped_from(const UnitGroups& groups, size_t apart) {
  const std::vector<size_t> widening = widening_groups(groups);
  Counts counts(groups.size(), 0);
  for (size_t i = widening.size() - apart; i < widening.size(); ++i)
    counts[widening[i]] = groups.units(widening[i]);
  return counts;
}

/// The largest number in [0, most] that fits, given that smaller ones do.
int64_t largest(int64_t most, const std::function<bool(int64_t)>& fits) {
  int64_t low = 0, high = most;
  while (low < high) {
    const int64_t middle = high - (high - low) / 2;
    if (fits(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

/// A partial merge of the right shapes, before it is known which units match.
PartialMerge any_merge(const UnitGroups& groups, const Counts& separate, size_t models) {
  std::vector<UnitSplit> splits;
  for (size_t i = 0; i < groups.size(); ++i)
    splits.push_back(
        split_units(std::vector<double>(static_cast<size_t>(groups.units(i))), separate[i]));
  return {groups, std::move(splits), models};
}

/// config.json of the result; null where no architecture has these widths.
Json wide_config(const Evidence& evidence, const PartialMerge& merge, const Shapes& shapes) {
  Shapes wide;
  for (const auto& [name, shape] : shapes) wide[name] = merge.shape(name, shape);
  return evidence.config_of_shapes(wide);
}

class GreedyWidths {
 public:
  GreedyWidths(const UnitGroups& groups, const PartialFlops& flops, double budget)
      : groups_(groups), flops_(flops), budget_(budget), widening_(widening_groups(groups)) {}

  Counts run() const {
    Counts counts(groups_.size(), 0);
    fill(counts, std::nullopt);
    for (bool grew = true; grew;) {
      grew = false;
      for (const size_t group : widening_) {
        if (counts[group] == 0) continue;
        Counts without = counts;
        without[group] = 0;
        fill(without, group);
        if (shares(without) <= shares(counts) + kSlack) continue;
        counts = std::move(without);
        grew = true;
      }
    }
    return counts;
  }

 private:
  double share(size_t group, int64_t count) const {
    return static_cast<double>(count) / static_cast<double>(groups_.units(group));
  }
  double shares(const Counts& counts) const {
    double sum = 0;
    for (const size_t group : widening_) sum += share(group, counts[group]);
    return sum;
  }
  /// The largest number of units of the group that the budget allows.
  int64_t most(Counts counts, size_t group) const {
    return largest(groups_.units(group), [&](int64_t count) {
      counts[group] = count;
      return flops_.of(counts) <= budget_ + kSlack;
    });
  }
  /// Fills groups in the order of their costs; `last` when no other can have more.
  void fill(Counts& counts, std::optional<size_t> last) const {
    while (true) {
      const double before = flops_.of(counts);
      std::optional<size_t> cheapest;
      double lowest = std::numeric_limits<double>::infinity();
      for (const size_t group : widening_) {
        if (group == last || most(counts, group) == counts[group]) continue;
        Counts full = counts;
        full[group] = groups_.units(group);
        const double cost =
            (flops_.of(full) - before) / (share(group, full[group]) - share(group, counts[group]));
        if (cost >= lowest) continue;
        lowest = cost;
        cheapest = group;
      }
      if (!cheapest) break;
      counts[*cheapest] = most(counts, *cheapest);
    }
    if (!last) return;
    counts[*last] = most(counts, *last);
    fill(counts, std::nullopt);  // what it reads and gives has become cheaper
  }

  const UnitGroups& groups_;
  const PartialFlops& flops_;
  double budget_;
  std::vector<size_t> widening_;
};

}  // namespace

PartialFlops::PartialFlops(const UnitGroups& groups, const Evidence& evidence, const Shapes& shapes,
                           size_t models)
    : groups_(groups), models_(static_cast<double>(models)) {
  for (const auto& [name, shape] : shapes) {
    const LayerInfo* layer = evidence.layer(name);
    if (!layer || shape.size() < 2) continue;
    double flops = 2 * static_cast<double>(layer->positions);
    for (const int64_t size : shape) flops *= static_cast<double>(size);
    const int64_t in_axis = layer->in_out ? 0 : 1;
    layers_.push_back({flops, groups.of_axis(name, in_axis), groups.of_axis(name, 1 - in_axis)});
    all_ += flops;
  }
}

double PartialFlops::of(const std::vector<int64_t>& separate) const {
  const auto share = [&](const std::optional<size_t>& group) {
    return group
               ? static_cast<double>(separate[*group]) / static_cast<double>(groups_.units(*group))
               : 0.0;
  };
  double sum = 0;
  for (const Layer& layer : layers_) {
    const double a = share(layer.reads), b = share(layer.gives);
    sum += layer.flops * ((1 - b) * (1 + (models_ - 1) * a) + models_ * b);
  }
  return sum / all_;
}

std::vector<int64_t> separate_by_ratio(const UnitGroups& groups, Allocation allocation,
                                       double ratio) {
  const std::vector<size_t> widening = widening_groups(groups);
  if (allocation == Allocation::kZip)
    return zipped_from(
        groups, static_cast<size_t>(std::lround(ratio * static_cast<double>(widening.size()))));
  Counts counts(groups.size(), 0);
  for (const size_t group : widening)
    counts[group] = std::lround(ratio * static_cast<double>(groups.units(group)));
  return counts;
}

std::vector<int64_t> separate_by_flops(const UnitGroups& groups, const PartialFlops& flops,
                                       Allocation allocation, double budget) {
  if (allocation == Allocation::kGreedy) return GreedyWidths(groups, flops, budget).run();
  const auto fits = [&](const Counts& counts) { return flops.of(counts) <= budget + kSlack; };
  if (allocation == Allocation::kZip) {
    const auto all = static_cast<int64_t>(widening_groups(groups).size());
    return zipped_from(groups, static_cast<size_t>(largest(all, [&](int64_t apart) {
                         return fits(zipped_from(groups, static_cast<size_t>(apart)));
                       })));
  }
  constexpr int64_t kSteps = 1 << 20;
  const auto at = [&](int64_t step) {
    return separate_by_ratio(groups, allocation, static_cast<double>(step) / kSteps);
  };
  return at(largest(kSteps, [&](int64_t step) { return fits(at(step)); }));
}

Shapes shapes_of(const StateDict& weights) {
  Shapes shapes;
  for (const auto& [name, tensor] : weights) shapes[name] = tensor.sizes().vec();
  return shapes;
}

OutputPlan wider_plan(
    const PlanInputs& models, bool streams, std::string_view method,
    const std::function<Counts(const UnitGroups& groups, const Shapes& shapes)>& separate) {
  if (!models.evidence)
    throw SkipCell(fmt::format(
        "{} makes a wider network, which needs models with a config.json that Assay knows",
        method));
  std::vector<std::string> names;
  Shapes shapes;
  for (const TensorInfo& tensor : models.experts.front()->tensors()) {
    names.push_back(tensor.name);
    shapes[tensor.name] = tensor.shape;
  }
  const UnitGroups groups(names, *models.evidence, streams, method);
  const PartialMerge merge = any_merge(groups, separate(groups, shapes), models.experts.size());
  OutputPlan plan = same_tensors(models);
  plan.config = wide_config(*models.evidence, merge, shapes);
  if (plan.config.is_null())
    throw SkipCell(fmt::format(
        "{} makes a wider network, and models of this architecture have no widths of their own "
        "for each layer",
        method));
  for (OutputTensor& tensor : plan.tensors) {
    const std::vector<int64_t> shape = merge.shape(tensor.name, shapes.at(tensor.name));
    if (shape != shapes.at(tensor.name)) tensor.shape = shape;
  }
  return plan;
}

void estimate_moments(const ModelJob& job, const UnitGroups& groups, const Counts& separate,
                      int64_t batch, StateDict& result) {
  bool any_merged = false, any_separate = false;
  for (size_t i = 0; i < groups.size(); ++i) {
    any_merged |= separate[i] < groups.units(i);
    any_separate |= separate[i] > 0;
  }
  if (!any_merged || std::none_of(job.names().begin(), job.names().end(), is_running_moment))
    return;
  std::unique_ptr<const Network> wide;
  if (any_separate) {
    Shapes shapes;
    for (const std::string& name : job.names())
      shapes[name] = job.tensor(name).experts.front().sizes().vec();
    wide = job.evidence().network_of(
        wide_config(job.evidence(), any_merge(groups, separate, job.num_experts()), shapes));
  }
  const Network& network = wide ? *wide : job.evidence().network();
  std::vector<size_t> experts(job.num_experts());
  std::iota(experts.begin(), experts.end(), size_t{0});
  for (auto& [name, values] : layer_inputs(network).running_moments(result, experts, batch))
    if (const auto place = result.find(name); place != result.end())
      place->second = std::move(values);
}

}  // namespace assay
