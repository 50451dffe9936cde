/// How much memory a sweep takes for what its merges share.
#pragma once

#include <cstdint>

namespace assay {

/// In bytes: an eighth of the machine's memory (of the control group's, where that is less), at
/// most 4.25 GiB.
int64_t default_cache_memory();

}  // namespace assay
