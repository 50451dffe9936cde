/// Scaled dot-product attention and its masks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay {

/// Which keys each token of a forward pass may attend to. The tokens are the last of the keys.
struct Visibility {
  at::Tensor query_positions;  ///< int64 [rows, tokens]
  at::Tensor key_positions;    ///< int64 [rows, keys]
  at::Tensor mask;             ///< bool [rows, tokens, keys]; undefined: all earlier tokens
};

/// Mask of attend(): either an explicit mask or the causal rule, which needs none.
struct AttentionMask {
  at::Tensor allowed;   ///< bool [rows, 1, tokens, keys]; undefined: see `causal`
  bool causal = false;  ///< with no mask: causal attention, where tokens and keys are the same
};

/// The conjunction of the caller's mask, the causal mask and, when `window` is not 0, a sliding
/// window: keys whose position is less than `window` behind. A token always attends to itself, so
/// that padding, to which nothing else attends, has finite values.
AttentionMask causal_mask(const Visibility& visibility, int64_t window);

struct AttentionScale {
  double scale = 1;    ///< multiplies query-key products (attention scores)
  double softcap = 0;  ///< c * tanh(product / c) when not 0: Gemma 2, arXiv:2408.00118
};

/// queries [rows, heads, tokens, size], keys and values [rows, kv heads, keys, size], with
/// grouped-query attention: each kv head is shared by heads / kv heads adjacent heads. `bias`,
/// added to the scaled products: [1 or rows, heads, tokens, keys] or undefined. Gives [rows,
/// tokens, heads * size].
at::Tensor attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                  const AttentionMask& mask, const AttentionScale& scale,
                  const at::Tensor& bias = {});

}  // namespace assay
