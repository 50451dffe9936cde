/// Sampled routing while a mixture is trained: every token is sent to one expert that is drawn
/// (Branch-Train-MiX's sample top-1, arXiv:2403.07816 §2.2), by Gumbel softmax (Jang et al.,
/// arXiv:1611.01144).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "methods/moe/training_routes.h"

namespace assay {

/// The temperature of a step: `start` at the first, then less by an exponential, and `least` at the
/// end.
struct Annealing {
  double start = 1, decay = 1e-4, least = 0.5;
  /// max(least, start exp(-decay step)).
  double temperature(int64_t step) const;
};

/// Standard Gumbel numbers -log(-log u), float32 [rows, columns], on the CPU: functions of the key
/// and the element's index alone.
at::Tensor gumbel_numbers(int64_t rows, int64_t columns, uint64_t key);

/// The expert of the largest of logits + noise, [tokens, experts] both, and as its weight its
/// probability in the softmax over (logits + noise) / temperature: 1 in the limit of temperature 0.
/// Of equal ones the first. Gradients reach all logits through the weight.
ExpertChoice sampled_expert(const at::Tensor& logits, const at::Tensor& noise, double temperature);

/// Noise that depends on the key, the router's name, the expert whose examples these are, the step,
/// and the token's place in the batch.
class SampledRoutes final : public TrainingRoutes {
 public:
  SampledRoutes(const Annealing& annealing, uint64_t key) : annealing_(annealing), key_(key) {}
  RouteTokens route(size_t expert, int64_t step) override;

 private:
  Annealing annealing_;
  uint64_t key_;
};

}  // namespace assay
