/// Memory that was freed and that malloc keeps.
#pragma once

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace assay {

/// Gives it back to the system, of all threads. glibc's malloc keeps blocks below 32 MiB that lie
/// between others, which is most of a large model's optimiser. Other allocators keep what they
/// keep.
inline void return_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace assay
