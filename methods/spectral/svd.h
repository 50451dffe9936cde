/// Factorisations of matrices in float64, each on one thread: values do not depend on how many
/// threads there are. Matrices may have any floating dtype.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <limits>

namespace assay {

/// u diag(s) v^T, with s descending. Directions whose singular value is 0 up to rounding are left
/// out: nothing determines them.
struct Svd {
  at::Tensor u, s, v;  ///< [rows, count], [count], [columns, count]

  int64_t count() const { return s.size(0); }
  at::Tensor product() const { return (u * s).mm(v.t()); }
  /// The nearest matrix whose singular values are 1, or 0 where they were.
  at::Tensor directions() const { return u.mm(v.t()); }
};

struct SvdBounds {
  int64_t most = std::numeric_limits<int64_t>::max();  ///< so many, the largest ones
  double above = 0;                                    ///< singular values above this alone
};
Svd factorize(const at::Tensor& matrix, SvdBounds bounds = {});

/// The orthogonal factor of the polar decomposition: the nearest matrix with orthonormal columns,
/// or rows where these are fewer. Dependent columns share the directions that they span.
at::Tensor polar_factor(const at::Tensor& matrix);

}  // namespace assay
