#include "methods/dense/task_vectors.h"

#include <ATen/core/Tensor.h>

#include "harness/core/hash.h"
#include "harness/kernels/blocks.h"

namespace assay {
namespace {}  // namespace

at::Tensor merge_sharing_delta(const TensorJob& part, const std::vector<DeltaTerm>& terms,
                               const DeltaRule& rule) {
  at::Tensor merged = part.result();
  // add_delta_into() rounds once, at the end.
  if (part.caches() && rule.rounding == DType::kFloat32) {
    std::string key;
    const auto add = [&](const auto& value) {
      key.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    add(rule.reduce), add(rule.elect), add(rule.tie_sign), add(rule.divisor), add(rule.min_divisor);
    for (size_t i = 0; i < terms.size(); ++i) {
      const DeltaTerm& term = terms[i];
      key += part.delta_key(i);
      add(term.drop), add(term.key), add(term.rescale), add(term.threshold), add(term.tie_end);
      add(term.weight), add(term.keep_mask != nullptr);
      if (term.keep_mask) {
        const auto words = static_cast<size_t>((part.base.numel() + 63) / 64);
        key += Hasher().bytes(term.keep_mask + part.offset / 64, words * sizeof(uint64_t)).hex();
      }
    }
    int64_t nonfinite = -1;
    const at::Tensor delta = part.cached_part(key, part.base.numel(), [&](at::Tensor& values) {
      nonfinite =
          delta_merge_into(part.base, part.experts, terms, rule, merged, part.offset, &values);
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

}  // namespace assay
