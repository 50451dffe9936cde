#include "methods/moe/load_balance.h"

#include <ATen/ATen.h>

namespace assay {

at::Tensor load_balance(const at::Tensor& logits, int64_t top_k) {
  const auto [largest, chosen] = at::topk(logits, top_k, 1);
  const at::Tensor weights = at::zeros_like(logits).scatter(1, chosen, at::softmax(largest, 1));
  const at::Tensor shares = at::softmax(logits, 1).mean(0);
  return static_cast<double>(logits.size(1)) * (weights.mean(0) * shares).sum();
}

}  // namespace assay
