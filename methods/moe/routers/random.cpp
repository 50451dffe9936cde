#include <ATen/ATen.h>

#include "harness/core/rng.h"
#include "harness/method/router.h"

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
    std::vector<at::Tensor> made;
    for (size_t block = 0; block < job.gates.size(); ++block) {
      at::Tensor gate = at::empty({static_cast<int64_t>(job.experts), job.width}, at::kFloat);
      for (size_t i = 0; i < job.experts; ++i) {
        Rng rng(job.key(block, i));
        float* row = gate.mutable_data_ptr<float>() + static_cast<int64_t>(i) * job.width;
        for (int64_t k = 0; k < job.width; ++k)
          row[k] = static_cast<float>(deviation * rng.normal());
      }
      made.push_back(std::move(gate));
    }
    return made;
  }
};

ASSAY_ROUTER(Random)

}  // namespace
}  // namespace assay
