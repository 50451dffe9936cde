/// Gates of random numbers.
#pragma once

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "harness/core/rng.h"
#include "harness/method/router.h"

namespace assay {

/// A gate for each block, float32 [experts, width]. `draw(rng)` gives a value; each row has a
/// generator of its own (RouterJob::key()).
std::vector<at::Tensor> random_gates(const RouterJob& job, const auto& draw) {
  std::vector<at::Tensor> made;
  for (size_t block = 0; block < job.gates.size(); ++block) {
    at::Tensor gate = at::empty({static_cast<int64_t>(job.experts), job.width}, at::kFloat);
    for (size_t i = 0; i < job.experts; ++i) {
      Rng rng(job.key(block, i));
      float* row = gate.mutable_data_ptr<float>() + static_cast<int64_t>(i) * job.width;
      for (int64_t k = 0; k < job.width; ++k) row[k] = static_cast<float>(draw(rng));
    }
    made.push_back(std::move(gate));
  }
  return made;
}

}  // namespace assay
