#include "methods/moe/sampled_routes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/core/hash.h"
#include "harness/core/philox.h"

namespace assay {

double Annealing::temperature(int64_t step) const {
  return std::max(least, start * std::exp(-decay * static_cast<double>(step)));
}

at::Tensor gumbel_numbers(int64_t rows, int64_t columns, uint64_t key) {
  const at::Tensor numbers = at::empty({rows, columns}, at::TensorOptions(at::kFloat));
  auto* const out = numbers.mutable_data_ptr<float>();
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    // Neither 0 nor 1.
    const double uniform = (philox_bits(key, static_cast<uint64_t>(i)) + 0.5) * 0x1.0p-32;
    out[i] = static_cast<float>(-std::log(-std::log(uniform)));
  }
  return numbers;
}

ExpertChoice sampled_expert(const at::Tensor& logits, const at::Tensor& noise, double temperature) {
  const at::ScalarType dtype = at::promoteTypes(logits.scalar_type(), at::kFloat);
  const auto [sorted, experts] =
      at::sort(at::softmax((logits.to(dtype) + noise.to(logits.device())) / temperature, -1),
               /*stable=*/true, -1, /*descending=*/true);
  return {experts.narrow(1, 0, 1), sorted.narrow(1, 0, 1)};
}

RouteTokens SampledRoutes::route(size_t expert, int64_t step) {
  return [this, expert, step](const TokensToRoute& tokens) {
    const uint64_t key = Hasher()
                             .number(key_)
                             .text("gumbel")
                             .text(tokens.router)
                             .number(expert)
                             .number(static_cast<uint64_t>(step))
                             .low64();
    const at::Tensor& logits = tokens.logits;
    return sampled_expert(logits, gumbel_numbers(logits.size(0), logits.size(1), key),
                          annealing_.temperature(step));
  };
}

}  // namespace assay
