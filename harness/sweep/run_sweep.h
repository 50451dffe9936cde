/// Runs a sweep: first the references, defaults and grids, then what the validation scores chose.
#pragma once

#include <string>

#include "harness/sweep/executor.h"
#include "harness/sweep/plan.h"
#include "results/store.h"

namespace assay {

struct SweepSummary {
  int64_t ran = 0;      ///< cells run now
  int64_t reused = 0;   ///< results that were in the store already
  int64_t skipped = 0;  ///< of those run now
  int64_t failed = 0;
  int64_t partly = 0;      ///< of the failed ones, those that keep the scores of some tasks
  int64_t statistics = 0;  ///< of the experts' data, computed now
  double statistics_s = 0;
  double merge_s = 0, evaluate_s = 0;  ///< of the cells run now, summed over workers
  double shared_s = 0;  ///< what merging would have taken in addition without caching
};

/// Runs the cells whose results are not in the store and places every result in the sweep. Failed
/// and skipped cells of earlier runs are tried again. Each result is stored as it comes.
SweepSummary run_sweep(const ResolvedSweep& sweep, const Plan& plan, Store& store,
                       Executor& executor, const Environment& environment);

/// The machine and program as they are now.
Environment current_environment(const std::string& device, const std::string& command_line);

}  // namespace assay
