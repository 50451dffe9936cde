#include "methods/permute/unit_maps.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay {
namespace {

/// The product of a matrix [new units, units] with an axis of a tensor, which holds nothing else
/// where their numbers differ.
at::Tensor multiplied(const at::Tensor& matrix, const at::Tensor& tensor, const UnitAxis& axis,
                      int64_t units) {
  std::vector<int64_t> split = tensor.sizes().vec();
  split[static_cast<size_t>(axis.axis)] = axis.inner;
  split.insert(split.begin() + axis.axis, {axis.outer, units});
  return at::tensordot(matrix.to(tensor.device()), tensor.reshape(split), {1}, {axis.axis + 1})
      .movedim(0, axis.axis + 1)
      .flatten(axis.axis, axis.axis + 2);
}

}  // namespace

UnitMap side_by_side(int64_t units, int64_t models) {
  const at::Tensor places = at::eye(units * models, at::kDouble);
  UnitMap made;
  for (int64_t k = 0; k < models; ++k) {
    made.reads.push_back(places.narrow(1, k * units, units).contiguous());
    made.gives.push_back(made.reads.back() * models);
  }
  return made;
}

UnitMap zipped_together(const std::vector<int64_t>& unit_of, int64_t units, int64_t models) {
  at::Tensor members = at::zeros({units, units * models}, at::kDouble);
  for (size_t i = 0; i < unit_of.size(); ++i) members[unit_of[i]][static_cast<int64_t>(i)] = 1;
  const at::Tensor shares = members / members.sum(1, /*keepdim=*/true) * models;
  UnitMap made;
  for (int64_t k = 0; k < models; ++k) {
    made.gives.push_back(shares.narrow(1, k * units, units).contiguous());
    made.reads.push_back(members.narrow(1, k * units, units).contiguous());
  }
  return made;
}

at::Tensor UnitMaps::mapped(size_t network, const std::string& name, const at::Tensor& tensor,
                            const UnitAxis* except) const {
  const LayerInfo* layer = evidence_->layer(name);
  const int64_t in_axis = !layer ? -1 : layer->in_out ? 0 : 1;
  at::Tensor result = tensor.to(at::kDouble);
  for (const auto& [group, axis] : groups_->of(name)) {
    if (!maps_[group] || axis == except) continue;
    const UnitMap& map = *maps_[group];
    const at::Tensor& matrix = axis->axis == in_axis ? map.reads[network] : map.gives[network];
    result = multiplied(matrix, result, *axis, groups_->units(group));
  }
  return result;
}

bool UnitMaps::widens(const std::string& name) const {
  const auto& axes = groups_->of(name);
  return std::any_of(axes.begin(), axes.end(), [&](const auto& place) {
    const auto& map = maps_[place.first];
    return map && map->reads.front().size(0) > groups_->units(place.first);
  });
}

}  // namespace assay
