#include "methods/permute/universe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/kernels/assignment.h"
#include "harness/kernels/parallel.h"

namespace assay {
namespace {

/// Of each group, float64 [places of the universe, units of the network].
using SoftOrders = std::vector<at::Tensor>;

/// The tensor with the units of every group but those of `except` at their places.
at::Tensor placed(const UnitGroups& groups, const std::string& name, const at::Tensor& tensor,
                  const SoftOrders& orders, const UnitAxis* except = nullptr) {
  at::Tensor result = tensor.to(at::kDouble);
  for (const auto& [group, axis] : groups.of(name)) {
    if (axis == except) continue;
    const at::Tensor rows = unit_rows(result, *axis, groups.units(group));
    result = from_unit_rows(at::mm(orders[group].to(result.device()), rows), *axis, tensor.sizes());
  }
  return result;
}

class Universe {
 public:
  Universe(const UnitGroups& groups, const std::vector<StateDict>& networks)
      : groups_(groups), networks_(networks), orders_(networks.size()) {
    for (const auto& [name, unused] : networks.front()) {
      if (groups.of(name).empty() || is_running_moment(name)) continue;
      names_.push_back(name);
      most_axes_ = std::max(most_axes_, groups.of(name).size());
    }
    for (SoftOrders& orders : orders_)
      for (size_t i = 0; i < groups.size(); ++i)
        orders.push_back(at::eye(groups.units(i), at::kDouble));
    std::vector<size_t> all(networks.size());
    std::iota(all.begin(), all.end(), size_t{0});
    places_.assign(names_.size(), std::vector<at::Tensor>(networks.size()));
    place(all);
  }

  double value() const { return value_; }

  /// A step of these networks, of length 0 where none raises the value.
  void step(const std::vector<size_t>& moving) {
    const std::vector<SoftOrders> goals = goals_of(moving);
    // Along the way each tensor is a polynomial whose degree is the number of its axes.
    const auto points = static_cast<int64_t>(2 * most_axes_ + 1);
    const at::Tensor at_points = at::linspace(0, 1, points, at::kDouble);
    std::vector<double> values{value_};
    for (int64_t i = 1; i < points; ++i)
      values.push_back(
          value_of(places_of(moving, moved(moving, goals, at_points[i].item<double>()))));
    const at::Tensor exponents = at::arange(points, at::kDouble);
    const at::Tensor coefficients = at::linalg_solve(at_points.unsqueeze(1).pow(exponents),
                                                     at::tensor(values, at::kDouble).unsqueeze(1));
    const at::Tensor along = at::linspace(0, 1, kSteps + 1, at::kDouble);
    const int64_t best =
        at::mm(along.unsqueeze(1).pow(exponents), coefficients).argmax().item<int64_t>();
    if (best == 0) return;
    orders_ = moved(moving, goals, along[best].item<double>());
    place(moving);
  }

  std::vector<UnitOrder> nearest(size_t network) const {
    std::vector<UnitOrder> orders;
    for (size_t i = 0; i < groups_.size(); ++i)
      orders.push_back(best_order(i, orders_[network][i]));
    return orders;
  }

 private:
  static constexpr int64_t kSteps = 1000;  ///< lengths of a step that are compared
  /// Of each tensor in names_: that of every network, at its places.
  using Places = std::vector<std::vector<at::Tensor>>;

  UnitOrder best_order(size_t group, const at::Tensor& scores) const {
    return assign(scores, Assign::kMaximize,
                  fmt::format("the units of '{}'", groups_.groups()[group].axes.front().tensor));
  }

  /// With these networks in other orders.
  Places places_of(const std::vector<size_t>& moving, const std::vector<SoftOrders>& orders) const {
    Places places = places_;
    concurrently(static_cast<int64_t>(names_.size()), [&](int64_t i) {
      const auto at = static_cast<size_t>(i);
      for (const size_t k : moving)
        places[at][k] = placed(groups_, names_[at], networks_[k].at(names_[at]), orders[k]);
    });
    return places;
  }

  /// Puts these networks where their orders say.
  void place(const std::vector<size_t>& moving) {
    places_ = places_of(moving, orders_);
    value_ = value_of(places_);
    sums_.clear();
    for (const std::vector<at::Tensor>& tensors : places_) sums_.push_back(sum_of(tensors));
  }

  static at::Tensor sum_of(const std::vector<at::Tensor>& tensors) {
    at::Tensor sum = at::zeros_like(tensors.front());
    for (const at::Tensor& tensor : tensors) sum += tensor;
    return sum;
  }

  /// Over all pairs of networks: half of what the squares of the sum are above the sum of squares.
  static double value_of(const Places& places) {
    double value = 0;
    for (const std::vector<at::Tensor>& tensors : places) {
      value += sum_of(tensors).square().sum().item<double>() / 2;
      for (const at::Tensor& tensor : tensors) value -= tensor.square().sum().item<double>() / 2;
    }
    return value;
  }

  /// How the value grows with the network's orders of a group.
  at::Tensor gradient(size_t network, size_t group) const {
    const int64_t units = groups_.units(group);
    at::Tensor sum = at::zeros({units, units}, at::kDouble);
    for (const UnitAxis& axis : groups_.groups()[group].axes) {
      const auto found = std::find(names_.begin(), names_.end(), axis.tensor);
      if (found == names_.end()) continue;
      const auto i = static_cast<size_t>(found - names_.begin());
      const at::Tensor own =
          placed(groups_, axis.tensor, networks_[network].at(axis.tensor), orders_[network], &axis);
      const at::Tensor others = sums_[i] - places_[i][network];
      sum += at::mm(unit_rows(others, axis, units), unit_rows(own, axis, units).t()).cpu();
    }
    return sum;
  }

  /// Of each moving network: the orders that the gradient likes best.
  std::vector<SoftOrders> goals_of(const std::vector<size_t>& moving) const {
    std::vector<SoftOrders> goals(moving.size(), SoftOrders(groups_.size()));
    concurrently(static_cast<int64_t>(moving.size() * groups_.size()), [&](int64_t i) {
      const size_t which = static_cast<size_t>(i) / groups_.size();
      const size_t group = static_cast<size_t>(i) % groups_.size();
      const UnitOrder order = best_order(group, gradient(moving[which], group));
      goals[which][group] =
          at::eye(groups_.units(group), at::kDouble).index_select(0, index_of(order, at::kCPU));
    });
    return goals;
  }

  std::vector<SoftOrders> moved(const std::vector<size_t>& moving,
                                const std::vector<SoftOrders>& goals, double length) const {
    std::vector<SoftOrders> orders = orders_;
    for (size_t i = 0; i < moving.size(); ++i)
      for (size_t group = 0; group < groups_.size(); ++group)
        orders[moving[i]][group] =
            (1 - length) * orders_[moving[i]][group] + length * goals[i][group];
    return orders;
  }

  const UnitGroups& groups_;
  const std::vector<StateDict>& networks_;
  std::vector<std::string> names_;  ///< of tensors with units
  size_t most_axes_ = 0;            ///< of units, of a tensor
  std::vector<SoftOrders> orders_;  ///< of each network
  Places places_;
  double value_ = 0;              ///< value_of(places_)
  std::vector<at::Tensor> sums_;  ///< of places_, over networks
};

}  // namespace

UniverseMatching match_in_universe(const UnitGroups& groups, const std::vector<StateDict>& networks,
                                   UniverseStep step, int64_t max_iterations) {
  constexpr double kGrowth = 1e-6;
  const OneThreadEach threads;
  Universe universe(groups, networks);
  std::vector<std::vector<size_t>> turns;
  for (size_t i = 0; i < networks.size(); ++i) {
    if (turns.empty() || step == UniverseStep::kInTurns) turns.emplace_back();
    turns.back().push_back(i);
  }
  UniverseMatching matching;
  double value = universe.value();
  for (bool grew = true; grew && matching.iterations < max_iterations; ++matching.iterations) {
    for (const std::vector<size_t>& moving : turns) universe.step(moving);
    const double now = universe.value();
    grew = now - value > kGrowth * std::abs(now);
    value = now;
  }
  for (size_t i = 0; i < networks.size(); ++i) matching.orders.push_back(universe.nearest(i));
  return matching;
}

}  // namespace assay
