#include "methods/dense/float_sphere.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace assay {
namespace {

constexpr int64_t kLanes = 8;

at::Tensor as_floats(const at::Tensor& tensor) {
  return tensor.to(at::kCPU, at::kFloat).contiguous();
}

float norm(const float* values, int64_t count) {
  std::array<float, kLanes> lanes{};
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t row = 0; row < whole; row += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes[static_cast<size_t>(lane)] += values[row + lane] * values[row + lane];
  float sum = lanes[0];
  for (size_t lane = 1; lane < kLanes; ++lane) sum += lanes[lane];
  for (int64_t i = whole; i < count; ++i) sum += values[i] * values[i];
  return std::sqrt(sum);
}

/// The sum of (a / norm_a) (b / norm_b): quotients and products in float32, their sum in float64.
float dot(const float* a, const float* b, int64_t count, const std::array<float, 2>& norms) {
  std::array<double, kLanes> lanes{};
  const auto product = [&](int64_t i) {
    return static_cast<double>((a[i] / norms[0]) * (b[i] / norms[1]));
  };
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t row = 0; row < whole; row += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes[static_cast<size_t>(lane)] += product(row + lane);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  for (int64_t i = whole; i < count; ++i) sum += product(i);
  return static_cast<float>(sum);
}

}  // namespace

float float_cosine(const TensorParts& tensor) {
  std::array<float, 2> norms{};
  tensor.for_each([&](const TensorJob& part) {
    for (size_t i = 0; i < norms.size(); ++i) {
      const at::Tensor values = as_floats(part.experts[i]);
      const float of_part = norm(values.const_data_ptr<float>(), values.numel());
      norms[i] += of_part * of_part;
    }
  });
  for (float& each : norms) {
    each = std::sqrt(each);
    if (!(each > 1e-8F)) each = 1;
  }
  float cosine = 0;
  tensor.for_each([&](const TensorJob& part) {
    const at::Tensor a = as_floats(part.experts[0]), b = as_floats(part.experts[1]);
    cosine += dot(a.const_data_ptr<float>(), b.const_data_ptr<float>(), a.numel(), norms);
  });
  return std::clamp(cosine, -1.0F, 1.0F);
}

}  // namespace assay
