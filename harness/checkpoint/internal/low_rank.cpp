#include "harness/checkpoint/internal/low_rank.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay {
namespace {

/// out[j] += sum over k, in order, of weights[k] * rows[k * stride + j].
void add_rows(float* out, int64_t count, const float* weights, const float* rows, int64_t stride,
              int64_t rank) {
  int64_t k = 0;
  for (; k + 4 <= rank; k += 4) {  // fewer passes over `out`
    const float w0 = weights[k], w1 = weights[k + 1], w2 = weights[k + 2], w3 = weights[k + 3];
    const float *r0 = rows + k * stride, *r1 = r0 + stride, *r2 = r1 + stride, *r3 = r2 + stride;
    for (int64_t j = 0; j < count; ++j)
      out[j] = (((out[j] + w0 * r0[j]) + w1 * r1[j]) + w2 * r2[j]) + w3 * r3[j];
  }
  for (; k < rank; ++k)
    for (int64_t j = 0; j < count; ++j) out[j] += weights[k] * rows[k * stride + j];
}

}  // namespace

at::Tensor low_rank_part(const at::Tensor& left, const at::Tensor& right, double scale,
                         int64_t first, int64_t count) {
  const int64_t rank = right.size(0), columns = right.size(1);
  at::Tensor out = at::zeros({count}, at::kFloat);
  if (count == 0) return out;
  const int64_t end = first + count, row = first / columns, end_row = (end + columns - 1) / columns;
  // Within one row, only its columns are needed.
  const int64_t skipped = end_row - row == 1 ? first % columns : 0;
  const int64_t width = end_row - row == 1 ? count : columns;
  const at::Tensor weights = left.narrow(0, row, end_row - row).to(at::kFloat).contiguous();
  at::Tensor rows = right.narrow(1, skipped, width);
  if (rows.scalar_type() != at::kFloat || rows.stride(1) != 1)
    rows = rows.to(at::kFloat).contiguous();
  float* values = out.mutable_data_ptr<float>();
  for (int64_t at = first; at < end;) {
    const int64_t i = at / columns, j = at % columns, some = std::min(columns - j, end - at);
    add_rows(values + (at - first), some, weights.const_data_ptr<float>() + (i - row) * rank,
             rows.const_data_ptr<float>() + (j - skipped), rows.stride(0), rank);
    at += some;
  }
  return out.mul_(scale);
}

}  // namespace assay
