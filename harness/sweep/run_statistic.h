/// Computes one statistic of a sweep.
#pragma once

#include <memory>
#include <string>

#include "harness/sweep/execution_context.h"

namespace assay {

/// Computes it into its file unless that is there. Returns why that failed, "" when it did not:
/// like an error of a cell, it does not stop a sweep.
std::string run_statistic(ExecutionContext& context, const StatisticJob& job);

/// The job's file; null when it is not there, cannot be used or holds another statistic.
std::shared_ptr<const StatisticFile> open_statistic(const StatisticJob& job);

/// What the store keeps of it.
StatisticRecord statistic_record(const StatisticFile& statistic);

}  // namespace assay
