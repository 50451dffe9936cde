/// How much memory a sweep takes for what its merges share.
#pragma once

#include <cstdint>

namespace assay {

/// An eighth of the machine's memory (of the control group's, where that is less), at most 4.25
/// GiB.
int64_t default_cache_memory();
/// What this process may keep from cell to cell, on each device. To be set before the first cell;
/// it is taken piece by piece, as merges first ask for it.
void set_cache_memory(int64_t bytes);
int64_t cache_memory();

/// Whether task vectors are kept for later merges, where the memory is for that: on, unless a
/// process is to make one merge only. To be set before the first cell.
void set_keeps_task_vectors(bool keeps);
bool keeps_task_vectors();

}  // namespace assay
