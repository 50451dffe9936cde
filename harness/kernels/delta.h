/// The task-vector family, element by element: what an expert changed (its delta from the base),
/// dropped at random (DARE, arXiv:2311.03099), rescaled, trimmed by magnitude (TIES,
/// arXiv:2306.01708), weighted; then the election of a sign over all experts. Every method of the
/// family, and every statistic one needs, is a configuration of these functions.
#pragma once

#include <cstdint>
#include <limits>

#include "harness/kernels/element.h"

namespace assay {

/// One expert's part in the merge of one tensor. Steps happen in the order of the members.
struct DeltaTerm {
  float drop = 0.0f;       ///< probability that an element is dropped
  uint64_t key = 0;        ///< Philox key of the draws; the counter is the element's index
  float rescale = 1.0f;    ///< multiplies what was not dropped
  uint32_t threshold = 0;  ///< magnitude_bits() below which an element is trimmed
  /// Elements exactly at the threshold are kept when their index is below this.
  int64_t tie_end = std::numeric_limits<int64_t>::max();
  float weight = 1.0f;  ///< multiplies what is left
  /// Every result of the steps is rounded to this dtype. Not float32: as in mergekit, which
  /// computes in the tensors' dtype.
  Storage rounding = Storage::kFloat32;
};

enum class Elect { kMass, kCount };  ///< sign of the sum; majority of the signs
enum class Reduce {
  kSumAll,             ///< no election: the sum of all
  kMeanAgree,          ///< mean of the nonzero entries whose sign is the elected one
  kSumAgree,           ///< their sum
  kMaxAgree,           ///< the one of largest magnitude
  kWeightedMeanAgree,  ///< their sum divided by the sum of their weights
};

struct DeltaRule {
  Reduce reduce = Reduce::kSumAll;
  Elect elect = Elect::kMass;
  int tie_sign = 0;  ///< the sign elected where the vote is exactly 0; 0 keeps nothing there
  float scale = 1.0f;
  Storage rounding = Storage::kFloat32;  ///< as in DeltaTerm; the same as that of all terms
};

/// The delta of element `index`, dropped, rescaled and trimmed; not weighted. `draw` is the
/// element's random number, philox_uniform(term.key, index), which counts only where the term
/// drops.
ASSAY_HOST_DEVICE inline float delta_element(float expert, float base, const DeltaTerm& term,
                                             int64_t index, float draw) {
  float delta = round_to(expert - base, term.rounding);
  if (term.drop > 0.0f && draw < term.drop) return 0.0f;
  if (term.rescale != 1.0f) delta = round_to(delta * term.rescale, term.rounding);
  const uint32_t magnitude = magnitude_bits(delta);
  if (magnitude < term.threshold || (magnitude == term.threshold && index >= term.tie_end))
    return 0.0f;
  return delta;
}

ASSAY_HOST_DEVICE inline float delta_element(float expert, float base, const DeltaTerm& term,
                                             int64_t index) {
  const float draw =
      term.drop > 0.0f ? philox_uniform(term.key, static_cast<uint64_t>(index)) : 1.0f;
  return delta_element(expert, base, term, index, draw);
}

/// A delta times its weight.
ASSAY_HOST_DEVICE inline float weigh(float delta, const DeltaTerm& term) {
  return term.weight == 1.0f
             ? delta
             : round_to(delta * round_to(term.weight, term.rounding), term.rounding);
}

/// The weighted delta.
ASSAY_HOST_DEVICE inline float term_element(float expert, float base, const DeltaTerm& term,
                                            int64_t index) {
  return weigh(delta_element(expert, base, term, index), term);
}

/// The sign elected by `count` values before ties are settled: -1, 0 or +1.
template <typename Value>
ASSAY_HOST_DEVICE inline int elect_element(int count, const Value& value, Elect elect) {
  float mass = value(0);
  int votes = sign_of(mass);
  for (int i = 1; i < count; ++i) {
    const float v = value(i);
    if (elect == Elect::kMass)
      mass += v;
    else
      votes += sign_of(v);
  }
  if (elect == Elect::kMass) return sign_of(mass);
  return votes > 0 ? 1 : (votes < 0 ? -1 : 0);
}

/// Merges the values that agree with the sign.
/// Sums are kept in float32 and rounded once at their end, as LibTorch does.
template <typename Value>
ASSAY_HOST_DEVICE inline float agree_element(int count, const Value& value, const DeltaTerm* terms,
                                             Reduce reduce, int sign, Storage rounding) {
  float sum = 0.0f, weights = 0.0f;
  int agreeing = 0;
  for (int i = 0; i < count; ++i) {
    const float v = value(i);
    if (sign == 0 || sign_of(v) != sign) continue;
    if (reduce == Reduce::kMaxAgree) {
      if (magnitude_bits(v) > magnitude_bits(sum)) sum = v;
      continue;
    }
    sum += v;
    ++agreeing;
    if (reduce == Reduce::kWeightedMeanAgree) weights += round_to(terms[i].weight, rounding);
  }
  sum = round_to(sum, rounding);
  weights = round_to(weights, rounding);
  if (reduce == Reduce::kMeanAgree && agreeing > 1)
    return round_to(sum / static_cast<float>(agreeing), rounding);
  // Weights of both signs can cancel; then, as in mergekit, the sum stands as it is.
  if (reduce == Reduce::kWeightedMeanAgree && magnitude_bits(weights) > 0x322bcc77u /* 1e-8 */)
    return round_to(sum / weights, rounding);
  return sum;
}

/// The merged element: base + scale * reduced. `value(i)` gives term_element() of expert i.
template <typename Value>
ASSAY_HOST_DEVICE inline float merge_element(int count, const Value& value, float base,
                                             const DeltaTerm* terms, const DeltaRule& rule) {
  float merged = 0.0f;
  if (rule.reduce == Reduce::kSumAll) {
    merged = value(0);
    for (int i = 1; i < count; ++i) merged += value(i);
    merged = round_to(merged, rule.rounding);
  } else {
    int sign = elect_element(count, value, rule.elect);
    if (sign == 0) sign = rule.tie_sign;
    merged = agree_element(count, value, terms, rule.reduce, sign, rule.rounding);
  }
  const float change = round_to(rule.scale * merged, rule.rounding);
  return round_to(base + change, rule.rounding);
}

}  // namespace assay
