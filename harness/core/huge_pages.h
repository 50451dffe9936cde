/// How LibTorch takes memory on the host.
#pragma once

#include <cstdlib>

namespace assay {

/// Tensors of 2 MiB and more lie in huge pages where the system gives them: filling fresh memory
/// takes a fraction of the time, and walking through it needs fewer look-ups of addresses. To be
/// called before the first tensor is made. THP_MEM_ALLOC_ENABLE=0, LibTorch's own switch, wins.
inline void use_huge_pages() { setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0); }

}  // namespace assay
