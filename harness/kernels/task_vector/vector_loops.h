/// The dispatch: one table of the loops for task vectors that are faster than those of runs.h,
/// filled once with what this machine's instruction set allows. A null entry means the plain loop;
/// harness/kernels/README.md says what each loop earns.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/kernels/task_vector/delta.h"
#include "harness/kernels/task_vector/runs.h"

namespace assay {

// What reductions go by. The dtype of all models, and which every step is rounded to;
enum class Arithmetic { kFloat32, kBFloat16, kBFloat16Rounded };
constexpr DType stored_in(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kFloat32 ? DType::kFloat32 : DType::kBFloat16;
}
constexpr DType rounded_to(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kBFloat16Rounded ? DType::kBFloat16 : DType::kFloat32;
}
/// the kind of all terms: only weighted; dropped, rescaled and weighted; only trimmed;
enum class TermKind { kWeigh, kDrop, kTrim };
/// Reduce; and how many experts there are.
inline constexpr int kFewTerms = 4;  ///< the most that registers hold

/// Elements [begin, begin + size) of a base and its experts, all of them in one loop that keeps
/// values in registers.
struct TermLoop {
  const Operand* operands;  ///< the base, the experts
  const DeltaTerm* terms;
  /// Of each expert: keep_mask_run() if it drops, tie_mask_run() if it trims.
  const RunMask* masks;
  int64_t begin, size;
};
/// Loops of the table take runs of a multiple of so many elements.
inline constexpr int64_t kVectorRun = 64;

struct VectorLoops {
  /// reduce_element(), of sums with a divisor of 1.
  using ReduceLoop = void (*)(const TermLoop& loop, float tie_sign, float* out);
  ReduceLoop reduce[3][3][5][kFewTerms]{};  ///< [Arithmetic][TermKind][Reduce][count - 1]
  /// keep_mask_run().
  void (*keep_mask)(const DeltaTerm& term, int64_t index, int64_t size, uint32_t* mask) = nullptr;
  /// changed_base() of bfloat16, by non-temporal stores; `rounds`: to bfloat16 between the steps.
  /// Returns the largest of the results' magnitude_bits().
  uint32_t (*change)(const void* base, int64_t begin, const float* reduced, float scale,
                     bool rounds, int64_t size, void* out) = nullptr;
  /// Adds magnitudes of plain deltas, and of term_element()s, to kLanes sums each as
  /// add_magnitudes() does; of one term in bfloat16 that drops and does not weigh.
  void (*norms)(const TermLoop& loop, double* whole, double* left) = nullptr;
  /// bins_in_range().
  void (*bins)(const float* values, int64_t size, RangeHits& hits) = nullptr;
};
const VectorLoops& vector_loops();

/// The table's entry for a merge.
VectorLoops::ReduceLoop reduce_loop(const Operand* operands, const std::vector<DeltaTerm>& terms,
                                    const DeltaRule& rule);

// Each enters its loops.
void add_term_loops(VectorLoops& loops);
void add_vector_draws(VectorLoops& loops);
void add_vector_change(VectorLoops& loops);
void add_vector_norms(VectorLoops& loops);
void add_vector_bins(VectorLoops& loops);

}  // namespace assay
