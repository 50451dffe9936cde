/// How searches for parameters went.
#pragma once

#include "results/store.h"

namespace assay {

/// A list of the searches, each with its steps: parameters, mean score on validation, the best so
/// far, and of several objectives whether the step is on their Pareto front. See reports/README.md.
Json searches_json(const SweepResults& results);

}  // namespace assay
