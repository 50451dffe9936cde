/// Attention of queries to keys and values, and who may look at whom.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay {

/// Which keys each token of a forward pass may look at. The tokens are the last ones of the keys.
struct Visibility {
  at::Tensor query_positions;  ///< int64 [rows, tokens]
  at::Tensor key_positions;    ///< int64 [rows, keys]
  at::Tensor mask;             ///< bool [rows, tokens, keys]; undefined: all that came before
};

/// What attend() takes: either a mask or a rule that needs none.
struct AttentionMask {
  at::Tensor allowed;   ///< bool [rows, 1, tokens, keys]; undefined: see `causal`
  bool causal = false;  ///< with no mask: tokens and keys are the same, none looks ahead
};

/// The caller's mask, and no looking ahead, and, when `window` is not 0, only keys whose position
/// is less than `window` behind. A token always looks at itself, so that padding, which nothing
/// else looks at, has finite values.
AttentionMask causal_mask(const Visibility& visibility, int64_t window);

struct AttentionScale {
  double scale = 1;    ///< multiplies query-key products
  double softcap = 0;  ///< c * tanh(product / c) when not 0: Gemma 2, arXiv:2408.00118
};

/// queries [rows, heads, tokens, size], keys and values [rows, kv heads, keys, size], where every
/// kv head serves heads / kv heads neighbouring heads. `bias`, added to the scaled products:
/// [1 or rows, heads, tokens, keys] or undefined. [rows, tokens, heads * size].
at::Tensor attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                  const AttentionMask& mask, const AttentionScale& scale,
                  const at::Tensor& bias = {});

}  // namespace assay
