/// Loops over runs, as in loops.h, of the steps in delta.h.
#pragma once

#include <cstdint>

#include "harness/kernels/delta.h"
#include "harness/kernels/magnitude_range.h"

namespace assay {

/// term_element() of elements [index, index + size) of a whole tensor, `index` a multiple of 64:
/// of an expert elements [begin, begin + size); `base` points to the first.
void term_run(const Operand& expert, int64_t begin, const float* base, const DeltaTerm& term,
              int64_t index, int64_t size, float* out);

/// The sum of the signs that `count` rows of weighted deltas elect, ties left at 0.
int64_t sign_sum_run(const float* const* rows, int count, Elect elect, int64_t size);

/// reduce_element() of `count` rows of weighted deltas; `weights`, rounded, as those were weighted.
void reduce_run(const float* const* rows, int count, const float* weights, const DeltaRule& rule,
                int64_t size, float* out);

/// changed_base(); returns the largest of the results' magnitude_bits(). `base` and `out` may be
/// the same.
uint32_t change_run(const float* base, const float* reduced, float scale, Storage rounding,
                    int64_t size, float* out);
/// The same in float32 from elements [begin, begin + size) of `base` to those of `out`, of one
/// dtype; they may be the same. Magnitudes are those before the last rounding.
uint32_t change_stored(const Operand& base, const float* reduced, float scale, int64_t begin,
                       int64_t size, void* out);

/// The high halves of the magnitudes' bits.
void high_halves(const float* values, int64_t size, uint16_t* out);
/// Writes the bins of those magnitudes that are in the range; returns how many. `out` has room for
/// `size` and kBinsSlack more. Adds to `below` how many lie below the range.
inline constexpr int64_t kBinsSlack = 16;
int64_t bins_in_range(const float* values, int64_t size, const MagnitudeRange& range, uint32_t* out,
                      int64_t& below);
/// How many magnitudes have exactly these bits.
int64_t count_magnitude(const float* values, int64_t size, uint32_t bits);

}  // namespace assay
