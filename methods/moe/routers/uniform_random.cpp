#include <cmath>

#include "methods/moe/routers/random_gates.h"

namespace assay {
namespace {

/// Gates of uniform random numbers in [-1, 1) / sqrt(width): logits of normed states then do not
/// grow with the width.
struct UniformRandom {
  static constexpr RouterInfo info{.name = "uniform_random",
                                   .paper = "https://github.com/arcee-ai/mergekit (mergekit-moe)",
                                   .summary = "uniform random numbers, scaled by 1 / sqrt(width)",
                                   .randomized = true};

  void parameters(auto&&) {}

  std::vector<at::Tensor> gates(const RouterJob& job) const {
    const double bound = 1 / std::sqrt(static_cast<double>(job.width));
    return random_gates(job, [bound](Rng& rng) { return rng.uniform(-bound, bound); });
  }
};

ASSAY_ROUTER(UniformRandom)

}  // namespace
}  // namespace assay
