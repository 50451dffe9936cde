#include "methods/mergekit/float_sphere.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "harness/core/thread_pool.h"
#include "harness/kernels/dtype/convert.h"

namespace assay::mergekit {
namespace {

constexpr int64_t kLanes = 8;

/// A buffer for the values of a part, kept from part to part: fresh memory for each costs more than
/// what is computed in it.
class FloatBuffer {
 public:
  float* of(int64_t count) {
    values_.resize(std::max(values_.size(), static_cast<size_t>(count)));
    return values_.data();
  }
  const float* fill(const at::Tensor& tensor) {
    at::Tensor values = at::from_blob(of(tensor.numel()), tensor.sizes(), at::kFloat);
    convert_into(tensor.cpu(), values);
    return values_.data();
  }

 private:
  std::vector<float> values_;
};

float norm(const float* values, int64_t count) {
  std::array<float, kLanes> lanes{};
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t row = 0; row < whole; row += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes[static_cast<size_t>(lane)] += values[row + lane] * values[row + lane];
  float sum = lanes[0];
  for (size_t lane = 1; lane < kLanes; ++lane) sum += lanes[lane];
  // Of the rest, fours as above; what is left of them by fused multiply-adds, for which double
  // serves: it holds the square of a float exactly.
  const int64_t fours = count - (count - whole) % 4;
  for (int64_t i = whole; i < fours; ++i) sum += values[i] * values[i];
  for (int64_t i = fours; i < count; ++i) {
    const double value = values[i];
    sum = static_cast<float>(static_cast<double>(sum) + value * value);
  }
  return std::sqrt(sum);
}

float norm(const std::vector<float>& values) {
  return norm(values.data(), static_cast<int64_t>(values.size()));
}

/// LibTorch's sum of fewer floats than it has lanes.
float short_sum(const std::vector<float>& values) {
  std::array<float, 4> sums{};
  const size_t whole = values.size() / sums.size() * sums.size();
  for (size_t i = 0; i < whole; ++i) sums[i % sums.size()] += values[i];
  for (size_t i = whole; i < values.size(); ++i) sums[0] += values[i];
  return ((sums[0] + sums[1]) + sums[2]) + sums[3];
}

/// LibTorch's sum of contiguous floats: four rows of lanes at once, into sums that are added up to
/// the next level every so often.
float cascade_sum(const float* values, int64_t count) {
  constexpr int64_t kRows = 4, kWidth = kRows * kLanes;
  constexpr size_t kLevels = 4;
  const int64_t vectors = count / kLanes, steps = vectors / kRows;
  const int64_t bits = steps <= 2 ? 1 : std::bit_width(static_cast<uint64_t>(steps - 1));
  const int64_t power = std::max<int64_t>(4, bits / static_cast<int64_t>(kLevels));
  const int64_t level_steps = int64_t{1} << power, mask = level_steps - 1;
  std::array<std::array<float, kWidth>, kLevels> sums{};
  const auto add = [&](int64_t step) {
    for (int64_t j = 0; j < kWidth; ++j)
      sums[0][static_cast<size_t>(j)] += values[step * kWidth + j];
  };
  int64_t step = 0;
  while (step + level_steps <= steps) {
    for (int64_t j = 0; j < level_steps; ++j) add(step++);
    for (size_t level = 1; level < kLevels; ++level) {
      for (size_t j = 0; j < kWidth; ++j) sums[level][j] += sums[level - 1][j];
      sums[level - 1].fill(0);
      if ((step & (mask << (static_cast<int64_t>(level) * power))) != 0) break;
    }
  }
  while (step < steps) add(step++);
  for (size_t level = 1; level < kLevels; ++level)
    for (size_t j = 0; j < kWidth; ++j) sums[0][j] += sums[level][j];
  for (int64_t i = steps * kWidth; i < vectors * kLanes; ++i)
    sums[0][static_cast<size_t>(i % kLanes)] += values[i];
  for (size_t row = 1; row < kRows; ++row)
    for (size_t lane = 0; lane < kLanes; ++lane) sums[0][lane] += sums[0][row * kLanes + lane];
  float sum = 0;
  for (int64_t i = vectors * kLanes; i < count; ++i) sum += values[i];
  for (size_t lane = 0; lane < kLanes; ++lane) sum += sums[0][lane];
  return sum;
}

/// The sum of (a / norm_a) (b / norm_b).
float dot(const float* a, const float* b, int64_t count, const std::array<float, 2>& norms,
          float* products) {
  for (int64_t i = 0; i < count; ++i) products[i] = (a[i] / norms[0]) * (b[i] / norms[1]);
  return cascade_sum(products, count);
}

/// The cosine between the flattened tensors of both experts, in [-1, 1].
float float_cosine(const TensorParts& tensor) {
  std::array<std::vector<float>, 2> of_parts;
  std::array<FloatBuffer, 3> buffers;
  tensor.for_each([&](const TensorJob& part) {
    const auto count = std::ssize(of_parts);
    ThreadPool::shared().run(count, count, [&](IndexQueue& indices) {
      while (const auto index = indices.next()) {
        const auto i = static_cast<size_t>(*index);
        const at::Tensor& expert = part.experts[i];
        of_parts[i].push_back(norm(buffers[i].fill(expert), expert.numel()));
      }
    });
  });
  std::array<float, 2> norms{norm(of_parts[0]), norm(of_parts[1])};
  for (float& each : norms)
    if (!(each > 1e-8F)) each = 1;
  std::vector<float> dots;
  tensor.for_each([&](const TensorJob& part) {
    const int64_t count = part.experts[0].numel();
    const float* a = buffers[0].fill(part.experts[0]);
    dots.push_back(dot(a, buffers[1].fill(part.experts[1]), count, norms, buffers[2].of(count)));
  });
  const float cosine = dots.size() < kLanes
                           ? short_sum(dots)
                           : cascade_sum(dots.data(), static_cast<int64_t>(dots.size()));
  return std::clamp(cosine, -1.0F, 1.0F);
}

}  // namespace

std::vector<double> slerp_coefficients(const TensorParts& tensor, double t) {
  const float cosine = float_cosine(tensor), at = static_cast<float>(t);
  const bool parallel = std::abs(cosine) > 0.9995F;
  tensor.report("lerp_frac", parallel ? 1 : 0);
  const float rest = 1 - at;
  if (parallel) return {rest, at};
  // LibTorch's own functions: the standard library's differ in the last bit now and then.
  const auto sine = [](float angle) { return at::sin(at::full({1}, angle)).item<float>(); };
  const float angle = at::acos(at::full({1}, cosine)).item<float>();
  return {sine(rest * angle) / sine(angle), sine(at * angle) / sine(angle)};
}

}  // namespace assay::mergekit
