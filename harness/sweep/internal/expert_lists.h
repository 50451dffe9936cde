/// Rows of a sweep whose parameters hold lists: which sets of experts they fit.
#pragma once

#include <optional>
#include <string>

#include "harness/sweep/sweep_file.h"

namespace assay {

/// Why a row cannot merge so many experts: a list, fixed or in its grid, has not a value for each.
std::optional<std::string> unfit_lists(const MethodSpec& method, size_t num_experts);

/// UserError, naming the row, for lists that fit no set of the sweep.
void check_lists(const SweepFile& file);

}  // namespace assay
