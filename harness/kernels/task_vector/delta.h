/// The task-vector family, element by element: what an expert changed (its delta from the base),
/// dropped at random (DARE, arXiv:2311.03099), rescaled, trimmed by magnitude (TIES,
/// arXiv:2306.01708), weighted; then the election of a sign over all experts. Every method of the
/// family, and every statistic one needs, is a configuration of these functions.
#pragma once

#include <cstdint>
#include <limits>

#include "harness/kernels/dtype/dtype.h"

namespace assay {

/// One expert's part in the merge of one tensor. Steps happen in the order of the members.
struct DeltaTerm {
  float drop = 0.0f;       ///< probability that an element is dropped
  uint64_t key = 0;        ///< Philox key of the draws; see drops()
  float rescale = 1.0f;    ///< multiplies what was not dropped
  uint32_t threshold = 0;  ///< magnitude_bits() below which an element is trimmed
  /// Of the elements exactly at the threshold, those are kept whose index is below this,
  int64_t tie_end = std::numeric_limits<int64_t>::max();
  /// or with a mask those whose bit is set: bit index % 64 of word index / 64. Bits of all other
  /// elements are 0.
  const uint64_t* keep_mask = nullptr;
  float weight = 1.0f;  ///< multiplies what is left
  /// Every result of the steps is rounded to this dtype: float32, or that of the tensors for
  /// arithmetic as LibTorch does it in their dtype.
  DType rounding = DType::kFloat32;
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
  float tie_sign = 0;    ///< the sign elected where the vote is exactly 0; 0 keeps nothing there
  float divisor = 1.0f;  ///< of the sum, with kSumAll
  /// With kWeightedMeanAgree: weights of both signs can cancel, and the sum of the values is not
  /// divided by a sum of weights of this magnitude or a smaller one. In [0, 1).
  float min_divisor = 0.0f;
  float scale = 1.0f;
  DType rounding = DType::kFloat32;  ///< as in DeltaTerm; the same as that of all terms
};

/// The steps of a term, one by one. A delta,
ASSAY_ELEMENT float plain_delta(float expert, float base, DType rounding) {
  return round_to(expert - base, rounding);
}
/// rescaled,
ASSAY_ELEMENT float rescaled_delta(float delta, float rescale, DType rounding) {
  return rescale == 1.0f ? delta : round_to(delta * rescale, rounding);
}
/// trimmed to magnitudes of at least `keep_threshold`, which is kDropped where it is dropped,
inline constexpr uint32_t kDropped = ~0u;
ASSAY_ELEMENT float trimmed_delta(float delta, uint32_t keep_threshold) {
  return magnitude_bits(delta) < keep_threshold ? 0.0f : delta;
}
/// and weighted.
ASSAY_ELEMENT float weighted_delta(float delta, float weight, DType rounding) {
  return weight == 1.0f ? delta : round_to(delta * round_to(weight, rounding), rounding);
}

/// A probability of dropping as 8-bit draws are held against it: a draw below `level` drops, one
/// above keeps, and one that equals it drops with the probability `rest`, by a second draw. So
/// sixteen elements share a block of the generator, and the probability is met to 2^-32.
struct DropLevel {
  uint32_t level;
  float rest;
};
ASSAY_ELEMENT DropLevel drop_level(float drop) {
  const float scaled = drop * 256.0f;  // exact, as are the next two
  const uint32_t level = static_cast<uint32_t>(scaled);
  return {level, scaled - static_cast<float>(level)};
}
/// The first draw of element `index`: byte index % 4, low before high, of random word index / 4.
ASSAY_HOST_DEVICE inline uint32_t first_draw(uint64_t key, int64_t index) {
  return philox_bits(key, static_cast<uint64_t>(index) / 4) >> (8 * (index % 4)) & 0xffu;
}
/// The second: a word of a block of its own.
ASSAY_HOST_DEVICE inline float second_draw(uint64_t key, int64_t index) {
  return bits_to_uniform(philox4x32_10(static_cast<uint64_t>(index), 1, key).v[0]);
}
/// Whether an element is dropped.
ASSAY_HOST_DEVICE inline bool drops(uint64_t key, int64_t index, DropLevel at) {
  const uint32_t draw = first_draw(key, index);
  return draw == at.level ? second_draw(key, index) < at.rest : draw < at.level;
}

/// Whether an element exactly at the threshold is kept.
ASSAY_HOST_DEVICE inline bool keeps_tie(const DeltaTerm& term, int64_t index) {
  if (term.keep_mask) return (term.keep_mask[index / 64] >> (index % 64) & 1u) != 0;
  return index < term.tie_end;
}

/// The magnitude from which an element is kept at an index.
ASSAY_HOST_DEVICE inline uint32_t keep_threshold(const DeltaTerm& term, int64_t index) {
  if (term.drop > 0.0f && drops(term.key, index, drop_level(term.drop))) return kDropped;
  return keeps_tie(term, index) ? term.threshold : term.threshold + 1;
}

/// The delta of element `index`, dropped, rescaled and trimmed; not weighted.
ASSAY_HOST_DEVICE inline float delta_element(float expert, float base, const DeltaTerm& term,
                                             int64_t index) {
  float delta = plain_delta(expert, base, term.rounding);
  delta = rescaled_delta(delta, term.rescale, term.rounding);
  return trimmed_delta(delta, keep_threshold(term, index));
}

/// The weighted delta.
ASSAY_HOST_DEVICE inline float term_element(float expert, float base, const DeltaTerm& term,
                                            int64_t index) {
  return weighted_delta(delta_element(expert, base, term, index), term.weight, term.rounding);
}

/// -1, 0 or +1, as a number, so that loops do without integers.
ASSAY_ELEMENT float vote_sign(float votes) {
  return votes > 0.0f ? 1.0f : (votes < 0.0f ? -1.0f : 0.0f);
}

/// What one value adds to the vote: itself, or its sign.
ASSAY_ELEMENT float vote(float value, Elect elect) {
  return elect == Elect::kMass ? value : vote_sign(value);
}

/// The sign that the votes elect.
ASSAY_ELEMENT float elected_sign(float votes, float tie_sign) {
  const float sign = vote_sign(votes);
  return sign == 0.0f ? tie_sign : sign;
}

/// What agree() gathers over the experts.
struct Agreement {
  float sum = 0.0f;    ///< of the values that agree, or the largest of them
  float share = 0.0f;  ///< how many they are, or the sum of their weights
};

/// Adds a value if its sign is the elected one. Choices between results, not between ways to them:
/// of the latter compilers make branches, which keep loops from being vectorised.
ASSAY_ELEMENT Agreement agree(Agreement so_far, float value, float weight, float sign,
                              Reduce reduce) {
  const bool agrees = value * sign > 0.0f;
  const float added = reduce == Reduce::kWeightedMeanAgree ? weight : 1.0f;
  const float share = agrees ? so_far.share + added : so_far.share;
  if (reduce == Reduce::kMaxAgree) {
    const bool larger = magnitude_bits(value) > magnitude_bits(so_far.sum);
    return {(agrees & larger) ? value : so_far.sum, share};
  }
  return {agrees ? so_far.sum + value : so_far.sum, share};
}

/// What the agreeing values come to. Sums are kept in float32 and rounded once at their end, as
/// LibTorch does.
ASSAY_ELEMENT float agreed_value(Agreement agreement, Reduce reduce, float min_divisor,
                                 DType rounding) {
  const float sum = round_to(agreement.sum, rounding);
  if (reduce != Reduce::kMeanAgree && reduce != Reduce::kWeightedMeanAgree) return sum;
  const float share = round_to(agreement.share, rounding);
  const bool divides = magnitude_bits(share) > magnitude_bits(min_divisor);
  return round_to(sum / (divides ? share : 1.0f), rounding);
}

/// The sum of all, divided.
ASSAY_ELEMENT float divided_sum(float sum, float divisor, DType rounding) {
  sum = round_to(sum, rounding);
  return divisor == 1.0f ? sum : round_to(sum / divisor, rounding);
}

/// base + scale * reduced.
ASSAY_ELEMENT float changed_base(float base, float reduced, float scale, DType rounding) {
  return round_to(base + round_to(scale * reduced, rounding), rounding);
}

/// The votes of `count` values.
template <typename Value>
ASSAY_HOST_DEVICE inline float count_votes(int count, const Value& value, Elect elect) {
  float votes = vote(value(0), elect);
  for (int i = 1; i < count; ++i) votes += vote(value(i), elect);
  return votes;
}

/// What the terms of all experts come to. `value(i)` gives term_element() of expert i.
template <typename Value>
ASSAY_HOST_DEVICE inline float reduce_element(int count, const Value& value, const DeltaTerm* terms,
                                              const DeltaRule& rule) {
  if (rule.reduce == Reduce::kSumAll) {
    float sum = value(0);
    for (int i = 1; i < count; ++i) sum += value(i);
    return divided_sum(sum, rule.divisor, rule.rounding);
  }
  const float sign = elected_sign(count_votes(count, value, rule.elect), rule.tie_sign);
  Agreement agreement;
  for (int i = 0; i < count; ++i)
    agreement =
        agree(agreement, value(i), round_to(terms[i].weight, rule.rounding), sign, rule.reduce);
  return agreed_value(agreement, rule.reduce, rule.min_divisor, rule.rounding);
}

/// The merged element.
template <typename Value>
ASSAY_HOST_DEVICE inline float merge_element(int count, const Value& value, float base,
                                             const DeltaTerm* terms, const DeltaRule& rule) {
  return changed_base(base, reduce_element(count, value, terms, rule), rule.scale, rule.rounding);
}

}  // namespace assay
