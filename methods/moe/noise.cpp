#include "methods/moe/noise.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/hash.h"
#include "harness/core/philox.h"

namespace assay {

at::Tensor normal_numbers(const TensorJob& job) {
  const uint64_t key = Hasher().number(job.expert_key(0)).text("noise").low64();
  const at::Tensor& like = job.experts.front();
  const at::Tensor values = at::empty(like.sizes(), at::TensorOptions(at::kFloat));
  auto* const out = values.mutable_data_ptr<float>();
  constexpr double kTwoPi = 6.283185307179586;
  for (int64_t i = 0; i < values.numel(); ++i) {
    // Box-Muller, of two of the element's own words; the first is never zero.
    const Philox4 words = philox4x32_10(static_cast<uint64_t>(job.offset + i), 0, key);
    const double radius = std::sqrt(-2 * std::log((words.v[0] + 1.0) * 0x1.0p-32));
    out[i] = static_cast<float>(radius * std::cos(kTwoPi * (words.v[1] * 0x1.0p-32)));
  }
  return values.to(like.device());
}

}  // namespace assay
