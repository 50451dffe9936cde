#include "harness/kernels/task_vector/vector_loops.h"

#include <optional>

#include "harness/kernels/internal/isa.h"

namespace assay {
namespace {

std::optional<Arithmetic> arithmetic_of(const Operand* operands,
                                        const std::vector<DeltaTerm>& terms) {
  const DType storage = operands[0].storage, rounding = terms[0].rounding;
  for (size_t i = 0; i < terms.size(); ++i)
    if (operands[i + 1].storage != storage || terms[i].rounding != rounding) return {};
  for (const auto found :
       {Arithmetic::kFloat32, Arithmetic::kBFloat16, Arithmetic::kBFloat16Rounded})
    if (stored_in(found) == storage && rounded_to(found) == rounding) return found;
  return {};
}

std::optional<TermKind> kind_of(const std::vector<DeltaTerm>& terms) {
  bool drops = false, trims = false, rescales = false, weighs = false;
  for (const DeltaTerm& term : terms) {
    drops |= term.drop != 0.0f;
    trims |= term.threshold != 0;
    rescales |= term.rescale != 1.0f;
    weighs |= term.weight != 1.0f;
  }
  if (trims) return drops || rescales || weighs ? std::nullopt : std::optional(TermKind::kTrim);
  if (drops) return TermKind::kDrop;
  return rescales ? std::nullopt : std::optional(TermKind::kWeigh);
}

}  // namespace

const VectorLoops& vector_loops() {
  static const VectorLoops loops = [] {
    VectorLoops all;
    add_term_loops(all);
#ifdef ASSAY_VECTORS_512
    const bool vectors = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("popcnt");
    if (vectors) {
      add_vector_draws(all);
      add_vector_change(all);
      add_vector_norms(all);
      add_vector_bins(all);
    }
#endif
    return all;
  }();
  return loops;
}

VectorLoops::ReduceLoop reduce_loop(const Operand* operands, const std::vector<DeltaTerm>& terms,
                                    const DeltaRule& rule) {
  const auto arithmetic = arithmetic_of(operands, terms);
  const auto kind = kind_of(terms);
  if (!arithmetic || !kind || terms.size() > kFewTerms || rule.divisor != 1.0f ||
      rule.elect != Elect::kMass)
    return nullptr;
  // What is only trimmed has weights of 1: their sum is how many there are.
  const bool counts = kind == TermKind::kTrim && rule.reduce == Reduce::kWeightedMeanAgree;
  const Reduce reduce = counts ? Reduce::kMeanAgree : rule.reduce;
  return vector_loops().reduce[static_cast<int>(*arithmetic)][static_cast<int>(*kind)]
                              [static_cast<int>(reduce)][terms.size() - 1];
}

}  // namespace assay
