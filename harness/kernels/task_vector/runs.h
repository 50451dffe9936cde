/// Plain loops over runs, as in dtype/runs.h, of the steps in delta.h. Those that vector_loops.h
/// has in another form choose that where it fits.
#pragma once

#include <cstdint>

#include "harness/kernels/dtype/runs.h"
#include "harness/kernels/select/magnitude_range.h"
#include "harness/kernels/task_vector/delta.h"

namespace assay {

/// A bit for each element of a run: bit j % kMaskBits of word j / kMaskBits.
inline constexpr int64_t kMaskBits = 32;
using RunMask = uint32_t[kRun / kMaskBits];
/// Sets the bits of elements [index, index + size) of a whole tensor, `index` a multiple of 64,
/// that the term's draws do not drop.
void keep_mask_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* mask);
/// Sets those of elements that are kept where they are exactly at the threshold: see keeps_tie().
void tie_mask_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* mask);
/// keep_threshold() of the same elements.
void keep_threshold_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* out);

/// term_element() of an expert's elements [begin, begin + size), given the first one's threshold
/// and base.
void term_run(const Operand& expert, int64_t begin, const float* base, const DeltaTerm& term,
              const uint32_t* keep_threshold, int64_t size, float* out);
/// The sum of the signs that `count` rows of weighted deltas elect, ties left at 0.
int64_t sign_sum_run(const float* const* rows, int count, Elect elect, int64_t size);
/// reduce_element() of `count` rows of weighted deltas; `weights`, rounded, as those were weighted.
void reduce_run(const float* const* rows, int count, const float* weights, const DeltaRule& rule,
                int64_t size, float* out);

/// changed_base(); returns the largest of the results' magnitude_bits().
uint32_t change_run(const float* base, const float* reduced, float scale, DType rounding,
                    int64_t size, float* out);

/// The upper 16 bits of the magnitudes.
void upper16_run(const float* values, int64_t size, uint16_t* out);
/// The same of plain_delta() rounded to bfloat16, both arrays in bfloat16, from element `begin` on.
void delta_upper16_run(const void* base, const void* expert, int64_t begin, int64_t size,
                       uint16_t* out);

/// What is found of one expert in a range of magnitudes.
struct RangeHits {
  MagnitudeRange range{};
  uint32_t likely = ~0u;  ///< one that many may have, which is only counted
  int64_t below = 0;      ///< how many lie below the range
  int64_t equal = 0;      ///< how many are the likely one, which lies in the range or is none
  int64_t found = 0;      ///< how many others lie inside
  uint32_t bins[kRun + 16] = {};  ///< the bins of these, and space for a vector more
};
/// Adds the magnitudes of a run.
void bins_in_range(const float* values, int64_t size, RangeHits& hits);

}  // namespace assay
