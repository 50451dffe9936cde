/// What methods that look at data need of a sweep.
#pragma once

#include <optional>
#include <string>

#include "harness/sweep/plan.h"

namespace assay {

/// Why a method with these needs cannot be calibrated on the row's tasks or on the own tasks of the
/// set's experts, in words, with what to change in the sweep file; absent when it can. Reads
/// neither tensors nor data.
std::optional<std::string> unmet_calibration(const ResolvedSweep& sweep, const ExpertSet& set,
                                             const Needs& needs, const RowCalibration& row);

}  // namespace assay
