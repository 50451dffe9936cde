/// Passes over the examples, for statistics whose sums are larger than memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "harness/method/evidence.h"
#include "harness/model/architecture.h"

namespace assay {

class Statistic;

/// The layers that each pass looks at. The tensors have the same bytes however they are divided.
struct StatisticPasses {
  std::vector<std::vector<LayerInfo>> layers{};
  int64_t bytes = 0;  ///< about what the largest pass takes, besides the model and its data
  /// An existing folder for the tensors of passes that are over; empty: they stay in memory.
  std::filesystem::path scratch{};
};

/// Passes within the limit (0: none), in the layers' order; layers that share an input share a
/// pass. A statistic that is not by_layer, and a layer that exceeds the limit alone, take what they
/// take. `at_once`: how many batches are observed concurrently.
StatisticPasses passes_of(const Statistic& statistic, const Architecture& architecture,
                          int64_t memory_bytes, int64_t batch_tokens, int64_t at_once);

}  // namespace assay
