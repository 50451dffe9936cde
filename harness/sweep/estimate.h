/// What a sweep would do and cost, without doing it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/sweep/plan.h"
#include "results/store.h"

namespace assay {

/// The cells of one leaderboard row on one expert set.
struct RowEstimate {
  Placement placement;
  int64_t cells = 0;
  int64_t stored = 0;      ///< of them have a result already
  std::string needs;       ///< "base, 3 experts"
  std::string unmet;       ///< why the row will be skipped; empty otherwise
  int64_t bytes_read = 0;  ///< checkpoint bytes that merging or loading reads
  int64_t items = 0;       ///< data items that go through a model
};

struct SweepEstimate {
  std::string sweep;
  std::vector<RowEstimate> rows;
  int64_t statistics = 0;             ///< of the experts' data, that what is missing needs
  int64_t stored_statistics = 0;      ///< of them have a file already
  int64_t statistic_bytes = 0;        ///< about what the largest to compute takes
  int64_t statistic_passes = 0;       ///< over the examples; the most of any
  std::vector<std::string> to_train;  ///< checkpoints that would be trained first
  /// Seconds of work for what is missing, from the mean of this sweep's stored results; absent when
  /// there are none.
  std::optional<double> seconds;
};

/// `memory_bytes`: for the sums of a statistic; 0: no limit.
SweepEstimate estimate_sweep(const ResolvedSweep& sweep, const Plan& plan, const Store* store,
                             int64_t memory_bytes = 0);
/// How many merges with a base are still to be run, at most. While a choice is open, its test cell
/// counts once unless those of all candidates are stored.
int64_t merges_with_base(const Plan& plan, const Store& store);
std::string estimate_text(const SweepEstimate& estimate);
Json estimate_to_json(const SweepEstimate& estimate);

}  // namespace assay
