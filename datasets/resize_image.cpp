#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "datasets/images.h"
#include "harness/core/error.h"

namespace assay {
namespace {

constexpr int kFraction = 22;  // bits after the point of the weights

double bilinear(double x) { return std::max(0.0, 1 - std::abs(x)); }

/// Keys, doi:10.1109/TASSP.1981.1163711, with a = -1/2.
double bicubic(double x) {
  constexpr double kA = -0.5;
  const double d = std::abs(x);
  if (d < 1) return ((kA + 2) * d - (kA + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * kA;
  return 0;
}

/// The inputs that make one output, and their weights in fixed point.
struct Taps {
  int64_t first = 0;
  std::vector<int32_t> weights{};
};

std::vector<Taps> taps_of(int64_t from, int64_t to, ResizeFilter filter) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double wider = std::max(scale, 1.0);
  const bool linear = filter == ResizeFilter::kBilinear;
  const double support = (linear ? 1.0 : 2.0) * wider;
  std::vector<Taps> all;
  for (int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first =
        std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - support + 0.5)));
    const int64_t end = std::min(from, static_cast<int64_t>(std::floor(centre + support + 0.5)));
    std::vector<double> weights;
    double sum = 0;
    for (int64_t x = first; x < end; ++x) {
      const double place = (static_cast<double>(x) - centre + 0.5) * (1 / wider);
      weights.push_back(linear ? bilinear(place) : bicubic(place));
      sum += weights.back();
    }
    Taps taps{.first = first};
    for (const double weight : weights) {
      const double fixed = (sum == 0 ? weight : weight / sum) * (1 << kFraction);
      taps.weights.push_back(static_cast<int32_t>(std::lround(fixed)));
    }
    all.push_back(std::move(taps));
  }
  return all;
}

/// Resizes the last dimension of [rows, from].
at::Tensor resize_last(const at::Tensor& rows, int64_t to, ResizeFilter filter) {
  const int64_t from = rows.size(1);
  const std::vector<Taps> taps = taps_of(from, to, filter);
  at::Tensor out = at::empty({rows.size(0), to}, at::kByte);
  const uint8_t* in = rows.const_data_ptr<uint8_t>();
  uint8_t* next = out.data_ptr<uint8_t>();
  for (int64_t row = 0; row < rows.size(0); ++row, in += from)
    for (const Taps& tap : taps) {
      int64_t sum = int64_t{1} << (kFraction - 1);
      for (size_t i = 0; i < tap.weights.size(); ++i)
        sum += int64_t{in[tap.first + static_cast<int64_t>(i)]} * tap.weights[i];
      *next++ = static_cast<uint8_t>(std::clamp<int64_t>(sum >> kFraction, 0, 255));
    }
  return out;
}

}  // namespace

at::Tensor resize_image(const at::Tensor& image, int64_t height, int64_t width,
                        ResizeFilter filter) {
  const int64_t channels = image.size(0), rows = image.size(1);
  at::Tensor x = image.contiguous();
  // A dimension that stays is not touched.
  if (width != image.size(2))
    x = resize_last(x.view({channels * rows, -1}), width, filter).view({channels, rows, width});
  if (height == rows) return x;
  const at::Tensor columns = x.transpose(1, 2).contiguous().view({channels * width, rows});
  return resize_last(columns, height, filter)
      .view({channels, width, height})
      .transpose(1, 2)
      .contiguous();
}

at::Tensor prepare_image(const at::Tensor& image, const ImageSteps& steps) {
  at::Tensor x = image;
  if (steps.resize > 0) {
    const int64_t height = x.size(1), width = x.size(2);
    const int64_t shorter = std::min(height, width), longer = std::max(height, width);
    const auto long_side =
        static_cast<int64_t>(static_cast<double>(steps.resize) * static_cast<double>(longer) /
                             static_cast<double>(shorter));
    x = resize_image(x, height <= width ? steps.resize : long_side,
                     height <= width ? long_side : steps.resize, steps.filter);
  }
  const auto padding = [&](int64_t size) {
    const int64_t missing = std::max<int64_t>(steps.crop - size, 0);
    return std::pair(missing / 2, (missing + 1) / 2);
  };
  const auto [top, bottom] = padding(x.size(1));
  const auto [left, right] = padding(x.size(2));
  if (top + bottom + left + right > 0) x = at::constant_pad_nd(x, {left, right, top, bottom});
  // Halves are rounded to even, as Python's round() does.
  const auto start = [&](int64_t size) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(size - steps.crop) / 2));
  };
  x = x.narrow(1, start(x.size(1)), steps.crop).narrow(2, start(x.size(2)), steps.crop);
  const auto per_channel = [&](const std::vector<double>& values) {
    return at::tensor(values, at::kDouble).to(at::kFloat).view({-1, 1, 1});
  };
  at::Tensor values = x.to(at::kFloat).div(255);
  if (!steps.mean.empty())
    values = (values - per_channel(steps.mean)) / per_channel(steps.deviation);
  return values.contiguous();
}

}  // namespace assay
