#include "methods/spectral/arrivals.h"

#include <algorithm>
#include <numeric>

#include "harness/core/hash.h"

namespace assay {

std::vector<size_t> arrivals_of(const ModelJob& job, Order order) {
  std::vector<size_t> arrivals(job.num_experts());
  std::iota(arrivals.begin(), arrivals.end(), size_t{0});
  if (order == Order::kGiven || job.names().empty()) return arrivals;
  const TensorParts first = job.parts(job.names().front());
  std::vector<uint64_t> draws;
  for (const size_t i : arrivals)
    draws.push_back(Hasher().text("experts in order").number(first.expert_key(i)).low64());
  std::sort(arrivals.begin(), arrivals.end(),
            [&](size_t a, size_t b) { return draws[a] < draws[b]; });
  return arrivals;
}

}  // namespace assay
