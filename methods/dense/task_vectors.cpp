#include "methods/dense/task_vectors.h"

#include <ATen/core/Tensor.h>

#include "harness/core/hash.h"
#include "harness/kernels/blocks.h"

namespace assay {
namespace {

/// L1 norms of a whole task vector and of what a drop left of it, rounded to the dtype that they
/// are computed with.
struct Norms {
  float whole, left;
  DType rounding;
};

}  // namespace

at::Tensor merge_sharing_delta(const TensorJob& part, const std::vector<DeltaTerm>& terms,
                               const DeltaRule& rule) {
  at::Tensor merged = part.result();
  // add_delta_into() rounds once, at the end.
  if (part.sharing && part.sharing->on() && rule.rounding == DType::kFloat32) {
    std::string key;
    const auto add = [&](const auto& value) {
      key.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    add(rule.reduce), add(rule.elect), add(rule.tie_sign), add(rule.divisor), add(rule.min_divisor);
    for (size_t i = 0; i < terms.size(); ++i) {
      const DeltaTerm& term = terms[i];
      key += part.sharing->delta_key(part.name, i);
      add(term.drop), add(term.key), add(term.rescale), add(term.threshold), add(term.tie_end);
      add(term.weight), add(term.keep_mask != nullptr);
      if (term.keep_mask) {
        const auto words = static_cast<size_t>((part.base.numel() + 63) / 64);
        key += Hasher().bytes(term.keep_mask + part.offset / 64, words * sizeof(uint64_t)).hex();
      }
    }
    int64_t nonfinite = -1;
    const at::Tensor delta =
        part.sharing->part(part.name, part.offset, key, part.base.numel(), part.base.device(),
                           [&](at::Tensor& values) {
                             nonfinite = delta_merge_into(part.base, part.experts, terms, rule,
                                                          merged, part.offset, &values);
                           });
    if (delta.defined()) {
      if (nonfinite < 0)
        nonfinite = add_delta_into(part.base, delta, rule.scale, merged);
      else  // at this merge's cost, not that of the delta, which others are charged for
        count_flops(kChangeFlops, part.base.numel());
      part.report_nonfinite(nonfinite);
      return merged;
    }
  }
  part.report_nonfinite(
      delta_merge_into(part.base, part.experts, terms, rule, merged, part.offset));
  return merged;
}

void RandomDrop::match_l1(const TensorParts& tensor, Compute compute,
                          std::vector<DeltaTerm>& terms) {
  std::vector<size_t> dropped;
  for (size_t i = 0; i < terms.size(); ++i)
    if (terms[i].drop > 0) dropped.push_back(i);
  std::vector<std::string> keys;
  for (const size_t i : dropped)
    keys.push_back(fmt::format("l1 norms {} {} {} {}", tensor.delta_key(i),
                               static_cast<int>(compute), terms[i].drop, terms[i].key));
  const auto norms = tensor.shared<Norms>(keys, [&](const std::vector<size_t>& missing) {
    std::vector<DeltaNorms> sums(missing.size());
    DType used = DType::kFloat32;
    tensor.for_each([&](const TensorJob& part) {
      const std::vector<DeltaTerm> rounded = rounded_terms(terms, compute, part);
      // mergekit works on float16 in float32 here.
      if (rounding(compute, part.base) == DType::kBFloat16) used = DType::kBFloat16;
      for (size_t k = 0; k < missing.size(); ++k) {
        const size_t i = dropped[missing[k]];
        const DeltaNorms here = delta_l1_norms(part.base, part.experts[i], rounded[i], part.offset);
        sums[k].whole += here.whole;
        sums[k].left += here.left;
      }
    });
    std::vector<Norms> found;
    for (const DeltaNorms& sum : sums)
      found.push_back({round_to(static_cast<float>(sum.whole), used),
                       round_to(static_cast<float>(sum.left), used), used});
    return found;
  });
  for (size_t k = 0; k < dropped.size(); ++k) {
    const auto& [whole, left, used] = norms[k];
    // As in mergekit: tensors that hold next to nothing stay as they are.
    if (whole >= 1e-7F && left >= 1e-7F) terms[dropped[k]].rescale = round_to(whole / left, used);
  }
}

}  // namespace assay
