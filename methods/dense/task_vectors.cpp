#include "methods/dense/task_vectors.h"

#include <ATen/core/Tensor.h>

#include "harness/kernels/weighted_sum.h"

namespace assay {
namespace {

/// An L1 norm, rounded to the dtype that it is computed with.
struct Norm {
  float value;
  Storage rounding;
};

}  // namespace

at::Tensor merge_sharing_delta(const TensorJob& part, const std::vector<DeltaTerm>& terms,
                               const DeltaRule& rule) {
  at::Tensor merged = part.result();
  // Only in float32 is adding the scaled delta a weighted sum.
  if (part.sharing && part.sharing->on() && rule.rounding == Storage::kFloat32) {
    std::string key = fmt::format("{} {} {} {}", static_cast<int>(rule.reduce),
                                  static_cast<int>(rule.elect), rule.tie_sign, rule.divisor);
    for (size_t i = 0; i < terms.size(); ++i) {
      const DeltaTerm& term = terms[i];
      key += fmt::format(" {} {} {} {} {} {} {}", part.sharing->delta_key(part.name, i), term.drop,
                         term.key, term.rescale, term.threshold, term.tie_end, term.weight);
    }
    DeltaRule reduce = rule;
    reduce.scale = 1;
    reduce.without_base = true;
    const at::Tensor delta = part.sharing->part(part.name, part.offset, key, part.base.numel(),
                                                part.base.device(), [&](at::Tensor& values) {
                                                  delta_merge_into(part.base, part.experts, terms,
                                                                   reduce, values, part.offset);
                                                });
    if (delta.defined()) {
      weighted_sum_into({part.base, delta}, {1.0, static_cast<double>(rule.scale)}, merged);
      return merged;
    }
  }
  delta_merge_into(part.base, part.experts, terms, rule, merged, part.offset);
  return merged;
}

void RandomDrop::match_l1(const TensorParts& tensor, Compute compute,
                          std::vector<DeltaTerm>& terms) {
  std::vector<size_t> dropped;
  for (size_t i = 0; i < terms.size(); ++i)
    if (terms[i].drop > 0) dropped.push_back(i);
  // Of each expert first the norm of all, then that of what is left.
  std::vector<std::string> keys;
  for (const size_t i : dropped)
    for (const bool whole : {true, false})
      keys.push_back(fmt::format("l1 norm {} {} {} {}", tensor.delta_key(i),
                                 static_cast<int>(compute), whole ? 0 : terms[i].drop,
                                 whole ? 0 : terms[i].key));
  const auto norms = tensor.shared<Norm>(keys, [&](const std::vector<size_t>& missing) {
    std::vector<double> sums(missing.size());
    Storage norm_rounding = Storage::kFloat32;
    tensor.for_each([&](const TensorJob& part) {
      const std::vector<DeltaTerm> rounded = rounded_terms(terms, compute, part);
      // mergekit works on float16 in float32 here.
      if (rounding(compute, part.base) == Storage::kBFloat16) norm_rounding = Storage::kBFloat16;
      for (size_t k = 0; k < missing.size(); ++k) {
        const size_t i = dropped[missing[k] / 2];
        const bool whole = missing[k] % 2 == 0;
        const DeltaTerm plain{.rounding = rounded[i].rounding};
        sums[k] +=
            delta_l1_norm(part.base, part.experts[i], whole ? plain : rounded[i], part.offset);
      }
    });
    std::vector<Norm> rounded;
    for (const double sum : sums)
      rounded.push_back({round_to(static_cast<float>(sum), norm_rounding), norm_rounding});
    return rounded;
  });
  for (size_t k = 0; k < dropped.size(); ++k) {
    const Norm &before = norms[2 * k], &after = norms[2 * k + 1];
    // As in mergekit: tensors that hold next to nothing stay as they are.
    if (before.value >= 1e-7F && after.value >= 1e-7F)
      terms[dropped[k]].rescale = round_to(before.value / after.value, after.rounding);
  }
}

}  // namespace assay
