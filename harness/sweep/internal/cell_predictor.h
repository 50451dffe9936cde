/// The model that a cell scores.
#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <vector>

#include "harness/model/predictor.h"
#include "harness/sweep/cell.h"

namespace assay {

using Devices = std::vector<at::Device>;

/// Loads it, or merges it into what the process keeps from cell to cell, where the next merge takes
/// its place; costs and diagnostics of that go into the record. DataError when weights or adapter
/// changed since the cell was planned; SkipCell, saying why, when there is no such model.
std::shared_ptr<const Predictor> make_predictor(const Cell& cell, const Devices& devices,
                                                RunRecord& record);

}  // namespace assay
