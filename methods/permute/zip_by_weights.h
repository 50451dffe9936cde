/// Zipping by what units weigh, or by that and by what they do.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "methods/permute/unit_maps.h"
#include "methods/permute/zip.h"

namespace assay {

/// Zipping in both spaces, Xu et al., arXiv:2403.01753 §3.2 with ZipIt!'s merges: zips `zipped`
/// groups anew, in an order drawn from the key in each sweep, by the sum of `balance` times the
/// correlation of their units' weights, all those of a unit one vector in which other groups' units
/// are as zipped as they are by then, and the rest times their similarities on data. `maps` are
/// where it starts, and then those of the sweep with the highest mean similarity of merged pairs.
/// Ends when no unit goes elsewhere, or that mean has not grown for 5 sweeps, or after 100, as
/// published code does. Running moments do not count, nor do tensors in which the networks stand
/// side by side. `similarities`: float64 [networks * units, networks * units] of every group; may
/// be empty where `balance` is 1. Returns the number of sweeps.
int64_t zip_by_weights(const UnitGroups& groups, const std::vector<size_t>& zipped,
                       const std::vector<StateDict>& networks,
                       const std::vector<at::Tensor>& similarities, double balance, uint64_t key,
                       const ZipOptions& options, UnitMaps& maps);

}  // namespace assay
