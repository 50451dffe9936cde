#include "methods/moe/routers/random_gates.h"

namespace assay {
namespace {

/// Gates of normal random numbers, as a mixture has them before it is trained.
struct Random {
  static constexpr RouterInfo info{.name = "random",
                                   .paper = "arXiv:2403.07816 §2",
                                   .summary = "normal random numbers",
                                   .randomized = true};
  double deviation = 1;

  void parameters(auto&& p) {
    p(deviation, {.name = "deviation",
                  .range = {0, 1000},
                  .sweep = {0.02, 1},
                  .help = "their standard deviation; mergekit-moe's is 1, transformers "
                          "initialises with 0.02"});
  }

  std::vector<at::Tensor> gates(const RouterJob& job) const {
    return random_gates(job, [this](Rng& rng) { return deviation * rng.normal(); });
  }
};

ASSAY_ROUTER(Random)

}  // namespace
}  // namespace assay
