/// Huge pages for LibTorch's host memory.
#pragma once

#include <cstdlib>

namespace assay {

/// Tensors of 2 MiB and more use transparent huge pages where the system has them: fewer page
/// faults on fresh memory, and fewer TLB misses. Call it before the first tensor is allocated.
/// THP_MEM_ALLOC_ENABLE=0, LibTorch's own switch, takes precedence.
inline void use_huge_pages() { setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0); }

}  // namespace assay
