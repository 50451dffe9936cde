/// What becomes of the units of several networks that are zipped.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "methods/permute/units.h"

namespace assay {

/// Of one group, for each network, [units of the result, units]: which unit of the result each of
/// its units went into.
struct UnitMap {
  /// Rows make a unit of the result, as the networks' mean of what this gives for each.
  std::vector<at::Tensor> gives;
  /// Whoever reads a unit of the result reads what it read of all that went into it.
  std::vector<at::Tensor> reads;
};

/// All units of all networks, those of the first network first.
UnitMap side_by_side(int64_t units, int64_t models);
/// `unit_of`: the unit of the result, of as many as one network has, for each of models * units.
UnitMap zipped_together(const std::vector<int64_t>& unit_of, int64_t units, int64_t models);

/// The maps of all groups. A group that has none keeps its units.
class UnitMaps {
 public:
  /// Must not outlive its arguments.
  UnitMaps(const UnitGroups& groups, const Evidence& evidence)
      : groups_(&groups), evidence_(&evidence), maps_(groups.size()) {}

  void set(size_t group, UnitMap map) { maps_[group] = std::move(map); }

  /// A network's tensor, float64, with its units in those of the result, but for those of one axis
  /// (null: none). The mean of all networks' is the result's tensor; of units that are merely in
  /// another order it is the tensor reordered.
  at::Tensor mapped(size_t network, const std::string& name, const at::Tensor& tensor,
                    const UnitAxis* except = nullptr) const;
  /// Whether the result has another shape there: units of the networks stand side by side.
  bool widens(const std::string& name) const;

 private:
  const UnitGroups* groups_;
  const Evidence* evidence_;
  std::vector<std::optional<UnitMap>> maps_;
};

}  // namespace assay
