/// Loops over runs of stored elements on the host, short enough for a core's first cache, in the
/// plain form that compilers vectorise. Each gives what the per-element functions give, to the bit.
#pragma once

#include <cstdint>

#include "harness/kernels/dtype/dtype.h"

namespace assay {

inline constexpr int64_t kRun = 512;  ///< the most elements of a run; divides kBlock

/// Elements [begin, begin + size) of the operand in float32.
void load_run(const Operand& from, int64_t begin, int64_t size, float* out);
/// Prefetch: brings elements [begin, begin + size) to the cache. Hardware alone is late with
/// several tensors at once.
void prefetch_run(const Operand& from, int64_t begin, int64_t size);
/// Writes them as elements [begin, begin + size) of an array of the dtype, rounded once.
void store_run(const float* values, int64_t begin, int64_t size, void* to, DType storage);
/// Copies by non-temporal stores, which bypass the caches, for what is not read again soon.
void copy_non_temporal(const void* from, int64_t bytes, void* to);
/// Orders a thread's non-temporal stores before its later ones: after the last of them, before
/// another thread reads.
void end_non_temporal();
/// How many of elements [begin, begin + size) are NaN or infinite.
int64_t nonfinite_run(const Operand& from, int64_t begin, int64_t size);

}  // namespace assay
