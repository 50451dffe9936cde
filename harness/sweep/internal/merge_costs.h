/// What a cell's merge cost.
#pragma once

#include <map>
#include <string>

#include "harness/merge/merge.h"
#include "harness/sweep/cell.h"

namespace assay {

/// A merge that takes less is measured again: one time says little of it.
inline constexpr double kShortMergeSeconds = 0.05;
inline constexpr int kMergeRepetitions = 3;

/// The costs by phase of the merge that `first` reports. Of short merges on the test split those of
/// the repetition of median time are given. Repetitions share nothing with other merges, so they
/// show what the method costs alone and have no kSharedPhase. They write the same bytes into
/// `sink`. Grids are not repeated: their costs are sums over many merges; nor are the merges of a
/// method that makes a model per task, for the same reason.
std::map<std::string, Cost> merge_costs(const Cell& cell, const MergeInputs& inputs,
                                        const MergeReport& first, MergeSink& sink);

/// Adds the costs of one of a cell's models to `sums`, those of the models made before it. Values
/// that these models share are charged to the first alone.
void add_merge_costs(const std::map<std::string, Cost>& costs, std::map<std::string, Cost>& sums);

}  // namespace assay
