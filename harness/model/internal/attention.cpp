#include "harness/model/internal/attention.h"

#include <ATen/ATen.h>

#include <limits>

#include "harness/core/error.h"

namespace assay {
namespace {

/// Explicit products and softmax: scaled_dot_product_attention does not support soft-capping.
at::Tensor attend_softcapped(const at::Tensor& queries, const at::Tensor& keys,
                             const at::Tensor& values, const at::Tensor& allowed,
                             const AttentionScale& scale) {
  const int64_t rows = queries.size(0), heads = queries.size(1), tokens = queries.size(2);
  const int64_t kv_heads = keys.size(1), group = heads / kv_heads;
  // Grouped-query attention: the heads of a group become further tokens, so that keys and values
  // need not be repeated.
  const at::Tensor grouped = queries.reshape({rows, kv_heads, group * tokens, queries.size(3)});
  at::Tensor products = at::matmul(grouped, keys.transpose(2, 3)) * scale.scale;
  products = at::tanh(products / scale.softcap) * scale.softcap;
  products = products.view({rows, kv_heads, group, tokens, keys.size(2)});
  if (allowed.defined())
    products = products.masked_fill(allowed.logical_not().unsqueeze(1),
                                    -std::numeric_limits<double>::infinity());
  const at::ScalarType dtype = at::promoteTypes(products.scalar_type(), at::kFloat);
  const at::Tensor probabilities = at::softmax(products, -1, dtype).to(values.scalar_type());
  return at::matmul(probabilities.view({rows, kv_heads, group * tokens, keys.size(2)}), values)
      .view({rows, heads, tokens, values.size(3)});
}

}  // namespace

AttentionMask causal_mask(const Visibility& visibility, int64_t window) {
  const int64_t tokens = visibility.query_positions.size(1);
  const int64_t keys = visibility.key_positions.size(1);
  const int64_t cached = keys - tokens;
  const at::Device device = visibility.query_positions.device();
  // A window at least as long as the range of positions hides nothing.
  const bool windowed =
      window != 0 && keys > 0 &&
      (visibility.query_positions.max() - visibility.key_positions.min()).item<int64_t>() >= window;
  if (!visibility.mask.defined() && !windowed) {
    if (cached == 0) return {{}, true};
    if (tokens == 1) return {};
  }
  const at::Tensor key_index = at::arange(keys, at::TensorOptions(at::kLong).device(device));
  const at::Tensor query_index =
      at::arange(cached, keys, at::TensorOptions(at::kLong).device(device)).unsqueeze(1);
  at::Tensor allowed = (key_index <= query_index).unsqueeze(0);
  if (visibility.mask.defined()) allowed = allowed.logical_and(visibility.mask.to(device));
  if (windowed)
    allowed = allowed.logical_and(
        visibility.query_positions.unsqueeze(2) - visibility.key_positions.unsqueeze(1) < window);
  allowed = allowed.logical_or((key_index == query_index).unsqueeze(0));
  return {allowed.unsqueeze(1), false};
}

at::Tensor attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                  const AttentionMask& mask, const AttentionScale& scale, const at::Tensor& bias) {
  const int64_t rows = queries.size(0), tokens = queries.size(2);
  at::Tensor out;
  if (scale.softcap != 0) {
    ASSAY_CHECK(!bias.defined(), "a bias with soft-capped products");
    const AttentionMask explicit_mask =
        mask.causal ? AttentionMask{at::ones({tokens, tokens}, queries.options().dtype(at::kBool))
                                        .tril()
                                        .view({1, 1, tokens, tokens}),
                                    false}
                    : mask;
    out = attend_softcapped(queries, keys, values, explicit_mask.allowed, scale);
  } else {
    std::optional<at::Tensor> allowed;
    if (mask.allowed.defined()) allowed = mask.allowed;
    if (bias.defined())
      allowed = mask.allowed.defined() ? bias.masked_fill(mask.allowed.logical_not(),
                                                          -std::numeric_limits<double>::infinity())
                                       : bias;
    out = at::scaled_dot_product_attention(queries, keys, values, allowed, 0.0, mask.causal,
                                           scale.scale, queries.size(1) != keys.size(1));
  }
  return out.transpose(1, 2).reshape({rows, tokens, -1});
}

}  // namespace assay
