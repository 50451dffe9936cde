#include "harness/model/internal/rotary.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "harness/core/error.h"

namespace assay {
namespace {

using Scaling = RotaryConfig::Scaling;

/// The exponents of theta: 0, 2, 4, ... divided by the size.
at::Tensor exponents(int64_t size, at::Device device) {
  return at::arange(0, size, 2, at::TensorOptions(at::kFloat).device(device)) /
         static_cast<double>(size);
}

at::Tensor plain_frequencies(double theta, const at::Tensor& exponent) {
  return at::reciprocal(at::pow(at::Scalar(theta), exponent));
}

at::Tensor llama3_frequencies(const RotaryConfig& c, const at::Tensor& plain) {
  const auto original = static_cast<double>(c.original_positions);
  const at::Tensor wavelength = 2 * std::numbers::pi / plain;
  const at::Tensor scaled = plain / c.factor;
  const at::Tensor weight = (original / wavelength - c.low_frequency_factor) /
                            (c.high_frequency_factor - c.low_frequency_factor);
  const at::Tensor interpolated = (1 - weight) * scaled + weight * plain;
  return at::where(wavelength > original / c.low_frequency_factor, scaled,
                   at::where(wavelength < original / c.high_frequency_factor, plain, interpolated));
}

at::Tensor yarn_frequencies(const RotaryConfig& c, const at::Tensor& exponent) {
  const at::Tensor powers = at::pow(at::Scalar(c.theta), exponent);
  const auto size = static_cast<double>(c.size);
  // The index of the pair that makes `rotations` rotations within the original length.
  const auto pair = [&](double rotations) {
    return size *
           std::log(static_cast<double>(c.original_positions) /
                    (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(c.theta));
  };
  double low = pair(c.beta_fast), high = pair(c.beta_slow);
  if (c.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, size - 1);
  if (low == high) high += 0.001;  // the ramp becomes a step
  const at::Tensor ramp =
      ((at::arange(c.size / 2, exponent.options()) - low) / (high - low)).clamp(0, 1);
  return ramp / (c.factor * powers) + (1 - ramp) / powers;
}

}  // namespace

bool Rotary::depends_on_length() const {
  return config_.scaling == Scaling::kDynamic || config_.scaling == Scaling::kLongRope;
}

bool Rotary::same_angles(int64_t length, int64_t other) const {
  if (config_.scaling == Scaling::kDynamic)
    return std::max(length, config_.max_positions) == std::max(other, config_.max_positions);
  if (config_.scaling == Scaling::kLongRope)
    return (length > config_.original_positions) == (other > config_.original_positions);
  return true;
}

at::Tensor Rotary::frequencies(const at::Tensor& lengths, at::Device device) const {
  const RotaryConfig& c = config_;
  const at::Tensor exponent = exponents(c.size, device);
  switch (c.scaling) {
    case Scaling::kNone:
      break;
    case Scaling::kLinear:
      return (plain_frequencies(c.theta, exponent) / c.factor).unsqueeze(0);
    case Scaling::kLlama3:
      return llama3_frequencies(c, plain_frequencies(c.theta, exponent)).unsqueeze(0);
    case Scaling::kYarn:
      return yarn_frequencies(c, exponent).unsqueeze(0);
    case Scaling::kDynamic: {
      const auto longest = static_cast<double>(c.max_positions);
      const auto size = static_cast<double>(c.size);
      const at::Tensor length = lengths.to(at::kFloat).clamp_min(longest).unsqueeze(1);
      const at::Tensor theta =
          c.theta * (c.factor * length / longest - (c.factor - 1)).pow(size / (size - 2));
      return at::reciprocal(at::pow(theta, exponent.unsqueeze(0)));
    }
    case Scaling::kLongRope: {
      const auto options = exponent.options();
      const at::Tensor powers = at::pow(at::Scalar(c.theta), exponent);
      const auto with = [&](const std::vector<double>& factors) {
        return at::reciprocal(at::tensor(factors, at::kFloat).to(options.device()) * powers);
      };
      return at::where((lengths > c.original_positions).unsqueeze(1), with(c.long_factors),
                       with(c.short_factors));
    }
  }
  return plain_frequencies(c.theta, exponent).unsqueeze(0);
}

RotaryTable Rotary::table(const at::Tensor& positions, const at::Tensor& lengths,
                          at::ScalarType dtype) const {
  const at::Tensor angles = (positions.to(at::kFloat).unsqueeze(2) *
                             frequencies(lengths, positions.device()).unsqueeze(1))
                                .unsqueeze(1);
  return {(at::cos(angles) * config_.attention_factor).to(dtype),
          (at::sin(angles) * config_.attention_factor).to(dtype)};
}

at::Tensor Rotary::rotate(const at::Tensor& x, const RotaryTable& table) {
  const int64_t half = table.cosines.size(-1);
  const at::Tensor first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
  std::vector<at::Tensor> parts = {first * table.cosines - second * table.sines,
                                   second * table.cosines + first * table.sines};
  if (x.size(-1) > 2 * half) parts.push_back(x.narrow(-1, 2 * half, x.size(-1) - 2 * half));
  return at::cat(parts, -1);
}

}  // namespace assay
