/// Loops over runs, as in loops.h, of the steps in delta.h.
#pragma once

#include <cstdint>

#include "harness/kernels/delta.h"

namespace assay {

/// delta_element() of elements [index, index + size), `index` a multiple of 4. `expert` and `base`
/// point to element `index`.
void delta_run(const float* expert, const float* base, const DeltaTerm& term, int64_t index,
               int64_t size, float* out);

/// Makes deltas term_element().
void weigh_run(const DeltaTerm& term, int64_t size, float* deltas);

/// elect_element() of `count` rows of weighted deltas, with `tie_sign` where it is 0.
void elect_run(const float* const* rows, int count, Elect elect, int tie_sign, int64_t size,
               int32_t* signs);

/// merge_element() of `count` rows of weighted deltas. `base` and `out` may be the same.
void merge_run(const float* const* rows, int count, const float* base, const DeltaTerm* terms,
               const DeltaRule& rule, int64_t size, float* out);

/// The sum of the signs.
int64_t sign_sum_run(const int32_t* signs, int64_t size);

/// The high halves of the magnitudes' bits.
void high_halves(const float* values, int64_t size, uint16_t* out);
/// Writes the low halves of those magnitudes' bits whose high half is the given one; returns how
/// many. `out` has room for `size`.
int64_t low_halves(const float* values, int64_t size, uint32_t high, uint16_t* out);
/// How many magnitudes have exactly these bits.
int64_t count_magnitude(const float* values, int64_t size, uint32_t bits);
/// How many keys are at least the given one; at most 65535 keys.
int64_t count_at_least(const uint16_t* keys, int64_t size, uint16_t least);

}  // namespace assay
