#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/rng.h"
#include "harness/method/router.h"

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
    std::vector<at::Tensor> made;
    for (size_t block = 0; block < job.gates.size(); ++block) {
      at::Tensor gate = at::empty({static_cast<int64_t>(job.experts), job.width}, at::kFloat);
      for (size_t i = 0; i < job.experts; ++i) {
        Rng rng(job.key(block, i));
        float* row = gate.mutable_data_ptr<float>() + static_cast<int64_t>(i) * job.width;
        for (int64_t k = 0; k < job.width; ++k)
          row[k] = static_cast<float>(rng.uniform(-bound, bound));
      }
      made.push_back(std::move(gate));
    }
    return made;
  }
};

ASSAY_ROUTER(UniformRandom)

}  // namespace
}  // namespace assay
