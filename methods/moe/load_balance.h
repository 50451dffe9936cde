/// The load balancing of mixtures of experts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay {

/// Branch-Train-MiX (arXiv:2403.07816 §2.2): N sum_i u_i p_i for the gate's logits [tokens, N],
/// where p_i is the mean over tokens of the softmax over all experts, and u_i that of the gate
/// weight, the softmax over the `top_k` largest logits and 0 for the others. 1 when both are
/// uniform, N when one expert has everything. A product of means, not a mean of products.
/// Gradients reach the logits through both.
at::Tensor load_balance(const at::Tensor& logits, int64_t top_k);

}  // namespace assay
