/// Matrices with known singular values, for tests of spectral methods.
#pragma once

#include "tests/merge/models.h"

namespace assay::testing {

/// Of float32 values that went through a decomposition.
inline constexpr double kSpectralTolerance = 2e-6;

inline at::Tensor diagonal(const std::vector<float>& values) {
  return at::diag(at::tensor(values));
}

/// Float64 [rows, count], of a random direction.
inline at::Tensor orthonormal_columns(int64_t rows, int64_t count, uint64_t key) {
  return std::get<0>(at::linalg_qr(noise({rows, count}, key).to(at::kDouble)));
}

/// Float64 with the singular values 1, 1/4, 1/16, ...
inline at::Tensor low_rank_matrix(int64_t rows, int64_t columns, int64_t rank, uint64_t key) {
  const at::Tensor values = at::pow(0.25, at::arange(rank, at::kDouble));
  return (orthonormal_columns(rows, rank, key) * values)
      .mm(orthonormal_columns(columns, rank, key + 1).t());
}

}  // namespace assay::testing
