/// The version of what methods see of data.
#pragma once

#include <cstdint>

namespace assay {

/// Part of the keys of statistics and of cells that look at data. Raise it when data are drawn or
/// batched in another way: old files and scores are then not used.
inline constexpr uint64_t kCalibrationVersion = 1;

}  // namespace assay
