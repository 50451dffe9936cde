#include "methods/permute/units.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "harness/core/error.h"

namespace assay {
namespace {

/// The shape with the axis as [outer, units, inner].
std::vector<int64_t> split_shape(at::IntArrayRef shape, const UnitAxis& axis, int64_t units) {
  std::vector<int64_t> split = shape.vec();
  split[static_cast<size_t>(axis.axis)] = axis.inner;
  split.insert(split.begin() + axis.axis, {axis.outer, units});
  return split;
}

}  // namespace

UnitGroups::UnitGroups(const std::vector<std::string>& merged, const Evidence& evidence,
                       bool streams, std::string_view method) {
  std::vector<PermutationGroup> taken;
  const std::set<std::string> names(merged.begin(), merged.end());
  for (PermutationGroup& group : evidence.permutations()) {
    const bool complete =
        std::all_of(group.axes.begin(), group.axes.end(),
                    [&](const UnitAxis& axis) { return names.contains(axis.tensor); });
    if (complete && (streams || !group.stream)) taken.push_back(std::move(group));
  }
  if (taken.empty())
    throw SkipCell(
        fmt::format("{} matches units of networks, and none of this one's can be reordered: its "
                    "architecture is not known, or its tensors are merged apart",
                    method));
  groups_ = std::make_shared<const std::vector<PermutationGroup>>(std::move(taken));
  for (size_t i = 0; i < size(); ++i)
    for (const UnitAxis& axis : groups()[i].axes) by_tensor_[axis.tensor].emplace_back(i, &axis);
}

const std::vector<std::pair<size_t, const UnitAxis*>>& UnitGroups::of(
    const std::string& tensor) const {
  static const std::vector<std::pair<size_t, const UnitAxis*>> none;
  const auto found = by_tensor_.find(tensor);
  return found == by_tensor_.end() ? none : found->second;
}

std::optional<size_t> UnitGroups::of_axis(const std::string& tensor, int64_t axis) const {
  std::optional<size_t> group;
  for (const auto& [other, place] : of(tensor)) {
    if (place->axis != axis) continue;
    if (group) return std::nullopt;
    group = other;
  }
  return group;
}

std::vector<UnitOrder> UnitGroups::identity() const {
  std::vector<UnitOrder> orders;
  for (const PermutationGroup& group : groups()) {
    UnitOrder& order = orders.emplace_back(static_cast<size_t>(group.units));
    std::iota(order.begin(), order.end(), 0);
  }
  return orders;
}

at::Tensor UnitGroups::reordered(const std::string& name, const at::Tensor& tensor,
                                 const std::vector<UnitOrder>& orders,
                                 const UnitAxis* except) const {
  at::Tensor result = tensor;
  for (const auto& [group, axis] : of(name)) {
    if (axis == except) continue;
    result = result.reshape(split_shape(result.sizes(), *axis, units(group)))
                 .index_select(axis->axis + 1, index_of(orders[group], result.device()))
                 .reshape(tensor.sizes());
  }
  return result;
}

at::Tensor unit_rows(const at::Tensor& tensor, const UnitAxis& axis, int64_t units) {
  return tensor.to(at::kDouble)
      .reshape(split_shape(tensor.sizes(), axis, units))
      .movedim(axis.axis + 1, 0)
      .reshape({units, -1});
}

at::Tensor from_unit_rows(const at::Tensor& rows, const UnitAxis& axis, at::IntArrayRef shape) {
  const int64_t units = rows.size(0);
  std::vector<int64_t> units_first = split_shape(shape, axis, units);
  units_first.erase(units_first.begin() + axis.axis + 1);
  units_first.insert(units_first.begin(), units);
  return rows.reshape(units_first).movedim(0, axis.axis + 1).reshape(shape);
}

at::Tensor unit_columns(const at::Tensor& values, const UnitAxis& axis, int64_t units) {
  if (axis.outer == 1 && axis.inner == 1) return values;
  return values.reshape({values.size(0), axis.outer, units, axis.inner})
      .permute({0, 1, 3, 2})
      .reshape({-1, units});
}

at::Tensor index_of(const UnitOrder& order, at::Device device) {
  return at::tensor(order, at::kLong).to(device);
}

UnitOrder composed(const UnitOrder& inner, const UnitOrder& outer) {
  UnitOrder both;
  for (const int64_t place : outer) both.push_back(inner[static_cast<size_t>(place)]);
  return both;
}

StateDict expert_weights(const ModelJob& job, size_t expert) {
  StateDict weights;
  for (const std::string& name : job.names())
    weights[name] = job.tensor(name).experts[expert].to(at::kFloat);
  return weights;
}

}  // namespace assay
