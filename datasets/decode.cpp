#include "datasets/decode.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "harness/core/error.h"

namespace assay {

at::Tensor read_byte_csv(const std::string& text, int64_t columns, const std::string& where) {
  const int64_t lines = std::count(text.begin(), text.end(), '\n');
  at::Tensor table = at::empty({lines, columns}, at::kByte);
  uint8_t* out = table.data_ptr<uint8_t>();
  const char* next = text.data();
  const char* const end = next + text.size();
  for (int64_t line = 0; line < lines; ++line)
    for (int64_t column = 0; column < columns; ++column) {
      const auto [after, error] = std::from_chars(next, end, *out++);
      const char expected = column + 1 < columns ? ',' : '\n';
      if (error != std::errc() || after == end || *after != expected)
        data_error("{}: line {}, column {}: expected {} integers in 0..255", where, line + 1,
                   column + 1, columns);
      next = after + 1;
    }
  if (next != end) data_error("{}: the last line is incomplete", where);
  return table;
}

at::Tensor resize_bilinear(const at::Tensor& images, int64_t size) {
  const at::Tensor source = images.contiguous();
  const auto in = source.accessor<float, 3>();
  at::Tensor result = at::empty({in.size(0), size, size}, at::kFloat);
  auto out = result.accessor<float, 3>();
  struct Tap {
    int64_t low, high;
    double weight;  // of high
  };
  const auto tap = [size](int64_t position, int64_t length) {
    const double scale = static_cast<double>(length) / static_cast<double>(size);
    const double centre = std::clamp((static_cast<double>(position) + 0.5) * scale - 0.5, 0.0,
                                     static_cast<double>(length - 1));
    const auto low = static_cast<int64_t>(centre);
    return Tap{low, std::min(low + 1, length - 1), centre - static_cast<double>(low)};
  };
  for (int64_t n = 0; n < in.size(0); ++n)
    for (int64_t y = 0; y < size; ++y)
      for (int64_t x = 0; x < size; ++x) {
        const Tap v = tap(y, in.size(1)), h = tap(x, in.size(2));
        const double top = in[n][v.low][h.low] * (1 - h.weight) + in[n][v.low][h.high] * h.weight;
        const double bottom =
            in[n][v.high][h.low] * (1 - h.weight) + in[n][v.high][h.high] * h.weight;
        out[n][y][x] = static_cast<float>(top * (1 - v.weight) + bottom * v.weight);
      }
  return result;
}

at::Tensor centre_in_28(const at::Tensor& images) {
  constexpr int64_t kSide = 28;
  const int64_t h = images.size(1), w = images.size(2);
  ASSAY_CHECK(h <= kSide && w <= kSide, "{}x{}", h, w);
  at::Tensor out = at::zeros({images.size(0), 1, kSide, kSide}, at::kFloat);
  out.select(1, 0).narrow(1, (kSide - h) / 2, h).narrow(2, (kSide - w) / 2, w).copy_(images);
  return out;
}

}  // namespace assay
