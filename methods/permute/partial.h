/// Partial merges of networks whose units are matched: of each group some units are merged, the
/// others of every network stand side by side.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "methods/permute/units.h"

namespace assay {

/// Which units of a group are merged; the others stay apart. In the result's order: those that are
/// merged, then the separate ones of the first network, of the second, ...
struct UnitSplit {
  std::vector<int64_t> merged, separate;  ///< of the group's units, both ascending

  int64_t width(size_t models) const {
    return static_cast<int64_t>(merged.size() + models * separate.size());
  }
};

/// The units with the lowest `similarities` [units] stay apart, as many as `count`; of equal ones
/// the first.
UnitSplit split_units(const std::vector<double>& similarities, int64_t count);

/// What is made of the units of networks, group by group.
class PartialMerge {
 public:
  /// `splits`: of every group. Separate units are only of groups for which can_widen() holds.
  PartialMerge(const UnitGroups& groups, std::vector<UnitSplit> splits, size_t models)
      : groups_(groups), splits_(std::move(splits)), models_(models) {}

  /// Whether separate units of the group can stand side by side: nothing else is in its dimensions.
  static bool can_widen(const UnitGroups& groups, size_t group);

  /// The shape of a tensor of the result.
  std::vector<int64_t> shape(const std::string& tensor, at::IntArrayRef of_models) const;
  /// The tensor of the result, of the models' matched ones, float64. `layer`: whose weight it is,
  /// null for others. Merged units read the mean of merged ones, and a share of each separate one;
  /// separate ones read merged ones and their own network's.
  at::Tensor merged(const std::string& name, const std::vector<at::Tensor>& tensors,
                    const LayerInfo* layer) const;

  /// Blocks of a dimension: (first, count) of what is merged, and of each model's own; the latter
  /// are empty where nothing is separate. `size`: of that dimension in the models.
  struct Blocks {
    std::pair<int64_t, int64_t> merged;
    std::vector<std::pair<int64_t, int64_t>> own;
  };
  Blocks blocks(const std::string& tensor, int64_t axis, int64_t size) const;
  /// Values [rows, dimension] of each model as those of the result [rows, its dimension]: the mean
  /// of merged units, and every separate one. `repeat`: consecutive values of each element of the
  /// axis, as the positions of a convolution's kernel.
  at::Tensor values(const std::string& tensor, int64_t axis, int64_t repeat,
                    const std::vector<at::Tensor>& of_models) const;

 private:
  /// The group and place of a dimension that has separate units.
  std::optional<std::pair<size_t, UnitAxis>> split_of(const std::string& tensor,
                                                      int64_t axis) const;
  /// Entries of a dimension that belong to these units.
  static at::Tensor entries(const std::vector<int64_t>& units, int64_t inner);

  const UnitGroups& groups_;
  std::vector<UnitSplit> splits_;
  size_t models_;
};

}  // namespace assay
