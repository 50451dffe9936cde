/// Units of networks as methods that match them see them: which tensors hold them where, and the
/// tensors with their units in another order.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/method/method.h"
#include "harness/method/running_moments.h"

namespace assay {

/// Place i of a group gets the unit that was at place order[i].
using UnitOrder = std::vector<int64_t>;

/// The groups of a merge that are reordered.
class UnitGroups {
 public:
  UnitGroups() = default;
  /// Those of whose tensors the merge has all. `streams`: whether those of residual streams count.
  /// SkipCell, which names the method, when there are none.
  UnitGroups(const std::vector<std::string>& names, const Evidence& evidence, bool streams,
             std::string_view method);
  UnitGroups(const ModelJob& job, bool streams, std::string_view method)
      : UnitGroups(job.names(), job.evidence(), streams, method) {}

  const std::vector<PermutationGroup>& groups() const { return *groups_; }
  size_t size() const { return groups_->size(); }
  int64_t units(size_t group) const { return groups()[group].units; }
  /// (group, its axis) of everything a tensor holds.
  const std::vector<std::pair<size_t, const UnitAxis*>>& of(const std::string& tensor) const;
  /// The group of a whole dimension, absent where it is in none or in several.
  std::optional<size_t> of_axis(const std::string& tensor, int64_t axis) const;
  std::vector<UnitOrder> identity() const;

  /// The tensor with the units of every group in these orders, but for those of one axis (null:
  /// none).
  at::Tensor reordered(const std::string& name, const at::Tensor& tensor,
                       const std::vector<UnitOrder>& orders,
                       const UnitAxis* except = nullptr) const;

 private:
  /// Shared by copies, since what follows points into it.
  std::shared_ptr<const std::vector<PermutationGroup>> groups_ =
      std::make_shared<const std::vector<PermutationGroup>>();
  std::map<std::string, std::vector<std::pair<size_t, const UnitAxis*>>> by_tensor_;
};

/// The tensor along an axis of units: [units, all else], float64.
at::Tensor unit_rows(const at::Tensor& tensor, const UnitAxis& axis, int64_t units);
/// The tensor of this shape that has these rows: the way back from unit_rows().
at::Tensor from_unit_rows(const at::Tensor& rows, const UnitAxis& axis, at::IntArrayRef shape);
/// Values [rows, outer * units * inner] of an axis as [rows * outer * inner, units].
at::Tensor unit_columns(const at::Tensor& values, const UnitAxis& axis, int64_t units);
/// Order of units as an index.
at::Tensor index_of(const UnitOrder& order, at::Device device);
/// First `inner`, then `outer`.
UnitOrder composed(const UnitOrder& inner, const UnitOrder& outer);

/// An expert's tensors, whole, in float32.
StateDict expert_weights(const ModelJob& job, size_t expert);

}  // namespace assay
