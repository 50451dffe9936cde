/// Loops over runs, as in loops.h, of the steps in delta.h.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/kernels/loops.h"
#include "harness/kernels/select/magnitude_range.h"
#include "harness/kernels/task_vector/delta.h"

namespace assay {

/// least_magnitude() of elements [index, index + size) of a whole tensor, `index` a multiple of 64.
void least_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* out);

/// A bit for each element of a run: bit j % kMaskBits of word j / kMaskBits.
inline constexpr int64_t kMaskBits = 32;
using RunMask = uint32_t[kRun / kMaskBits];
/// Sets the bits of elements that the term's draws do not drop; `index` as above.
void kept_run(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* kept);

/// term_element() of an expert's elements [begin, begin + size), given the first one's least
/// magnitude and base.
void term_run(const Operand& expert, int64_t begin, const float* base, const DeltaTerm& term,
              const uint32_t* least, int64_t size, float* out);

/// delta_element() of plain deltas.
void keep_run(const float* deltas, const DeltaTerm& term, const uint32_t* least, int64_t size,
              float* out);

/// Elements [begin, begin + size) of a base and `count` experts, terms of these and their least
/// magnitudes: all that a merge needs in one loop that keeps values in registers.
struct TermLoop {
  const Operand* operands;  ///< the base, the experts
  const DeltaTerm* terms;
  int count;
  const uint32_t* const* least;  ///< for the loops that take it
  int64_t begin, size;
};
inline constexpr int kFewTerms = 4;  ///< the most that registers hold
/// Whether there is such a loop for these dtypes and so many terms: one dtype of 16 or 32 bits, and
/// rounding to float32 or bfloat16 to itself.
bool fits_registers(const Operand* operands, const std::vector<DeltaTerm>& terms, Elect elect);
/// reduce_element().
void reduce_in_registers(const TermLoop& loop, const DeltaRule& rule, float* out);
/// As sign_sum_run().
int64_t sign_sum_in_registers(const TermLoop& loop);

/// Whether terms that fit registers do no more than trim, to which end there are loops of their
/// own.
bool only_trims(const Operand* operands, const std::vector<DeltaTerm>& terms, Elect elect);
/// Whether they drop at random and do not trim.
bool only_drops(const Operand* operands, const std::vector<DeltaTerm>& terms, Elect elect);
/// reduce_element() without TermLoop::least, of terms as only_trims() and only_drops() find them;
/// `index` as for least_run(). False where there is no such loop for the reduction, the run or this
/// machine.
bool reduce_trimmed(const TermLoop& loop, int64_t index, const DeltaRule& rule, float* out);
bool reduce_dropped(const TermLoop& loop, int64_t index, const DeltaRule& rule, float* out);
bool sign_sum_trimmed(const TermLoop& loop, int64_t index, int64_t& sum);
/// What reduce_trimmed() does for means in bfloat16, 32 elements at a time, once it has found that
/// no `tie_end` lies inside the run.
bool mean_in_halves(const TermLoop& loop, int64_t index, float tie_sign, float* out);
/// Adds magnitudes of an expert's plain deltas to `whole`, and of those that reach the least, not
/// weighted, to `left`: see add_magnitudes(). operands[0] is the base; the term fits registers.
/// False as for reduce_trimmed().
bool norms_in_vectors(const Operand* operands, const DeltaTerm& term, const uint32_t* least,
                      int64_t begin, int64_t size, double* whole, double* left);
/// Sums, not divided, and sums of those that agree. False as for reduce_trimmed().
bool sum_in_vectors(const TermLoop& loop, const DeltaRule& rule, float* out);

/// The sum of the signs that `count` rows of weighted deltas elect, ties left at 0.
int64_t sign_sum_run(const float* const* rows, int count, Elect elect, int64_t size);

/// reduce_element() of `count` rows of weighted deltas; `weights`, rounded, as those were weighted.
void reduce_run(const float* const* rows, int count, const float* weights, const DeltaRule& rule,
                int64_t size, float* out);

/// changed_base(); returns the largest of the results' magnitude_bits(). `base` and `out` may be
/// the same.
uint32_t change_run(const float* base, const float* reduced, float scale, DType rounding,
                    int64_t size, float* out);
/// The same from elements [begin, begin + size) of `base` to as many of its dtype. Magnitudes are
/// those before the last rounding.
uint32_t change_stored(const Operand& base, int64_t begin, const float* reduced, float scale,
                       DType rounding, int64_t size, void* out);

/// The same, written past the caches: end_past_caches() must follow. Magnitudes are those
/// after the last rounding. False where there is no such loop for the dtypes, the run or this
/// machine.
bool change_past_caches(const Operand& base, int64_t begin, const float* reduced, float scale,
                        DType rounding, int64_t size, void* out, uint32_t& largest);

/// The values of a run without zeros, and in `present`, as in RunMask, which are there. Only +0 is
/// left out. Returns how many are left; `packed` has room for `size`.
int64_t pack_run(const float* values, int64_t size, float* packed, uint32_t* present);
/// What pack_run() was given; returns the same. May read all of the room.
int64_t unpack_run(const float* packed, const uint32_t* present, int64_t size, float* values);

/// The high halves of the magnitudes' bits.
void high_halves(const float* values, int64_t size, uint16_t* out);
/// The same of plain_delta() rounded to bfloat16, both arrays in bfloat16, from element `begin` on.
void delta_halves(const void* base, const void* expert, int64_t begin, int64_t size, uint16_t* out);
/// What is found of one expert in a range of magnitudes.
struct RangeHits {
  MagnitudeRange range{};
  uint32_t likely = ~0u;  ///< one that many may have, which is only counted
  int64_t below = 0;      ///< how many lie below the range
  int64_t equal = 0;      ///< how many are the likely one, which lies in the range or is none
  int64_t found = 0;      ///< how many others lie inside
  /// And apart from all these, how many without a lower half near the range there are of each upper
  /// half, from that of range.low on.
  static constexpr uint32_t kUppers = 16;
  int64_t uppers[kUppers] = {};
  uint32_t bins[kRun + 16] = {};  ///< the bins of these, and room for a vector more
};
/// Adds the magnitudes of a run.
void bins_in_range(const float* values, int64_t size, RangeHits& hits);
/// Adds those of plain_delta(), in float32, of elements [begin, begin + size) of `count` experts;
/// operands[0] is the base.
void delta_bins_in_range(const Operand* operands, int count, int64_t begin, int64_t size,
                         RangeHits* hits);
/// How many magnitudes have exactly these bits.
int64_t count_magnitude(const float* values, int64_t size, uint32_t bits);

}  // namespace assay
