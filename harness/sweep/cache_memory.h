/// How much memory a sweep takes for what its merges share.
#pragma once

#include <cstdint>

namespace assay {

/// In bytes: an eighth of the machine's memory (of the control group's, where that is less), at
/// most 4.25 GiB.
int64_t default_cache_memory();

/// What one process may keep from merge to merge, on each device.
struct CacheBudget {
  int64_t bytes = default_cache_memory();  ///< allocated piece by piece, as merges ask for it
  /// Whether task vectors are kept for later merges, where they fit: of no use to a process that
  /// makes one merge only.
  bool task_vectors = true;
};

}  // namespace assay
