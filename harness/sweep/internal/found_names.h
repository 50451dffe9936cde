/// Which files the names in a sweep stood for, for its record.
#pragma once

#include <vector>

#include "harness/sweep/plan.h"
#include "results/records.h"

namespace assay {

/// The sweep file, its recipe, the suites of its tasks and their data, as far as a name was looked
/// up in several places. Models are not among them: the record of a checkpoint has its path.
std::vector<FoundName> found_names(const ResolvedSweep& sweep);

}  // namespace assay
