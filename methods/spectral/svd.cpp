#include "methods/spectral/svd.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "harness/kernels/one_thread.h"

namespace assay {
namespace {

// Singular vectors come from the smaller Gram matrix, in a fraction of the time of an SVD. It
// squares singular values: a vector is known to rounding times (largest / own value)^2. Down to
// this share of the largest square, that is a rounding of float32. LAPACK's SVD finds the others.
constexpr double kLeastSquareShare = 1e-8;

/// The same of a matrix with at least as many rows as columns.
Svd factorize_tall(const at::Tensor& matrix, const SvdBounds& bounds) {
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  const int64_t most = std::min(bounds.most, columns);
  const auto [squares, vectors] = at::linalg_eigh(matrix.t().mm(matrix));  // ascending
  const double largest = columns == 0 ? 0 : squares[columns - 1].item<double>();
  if (most <= 0 || largest <= 0) {
    const auto none = [&](int64_t size) { return at::zeros({size, 0}, matrix.options()); };
    return {none(rows), at::zeros({0}, matrix.options()), none(columns)};
  }

  const int64_t known = at::gt(squares, kLeastSquareShare * largest).sum().item<int64_t>();
  const int64_t taken = std::min(most, known);
  at::Tensor v = vectors.narrow(1, columns - taken, taken).flip(1).contiguous();
  at::Tensor u = matrix.mm(v);
  at::Tensor s = u.norm(2, 0);
  u /= s;

  const double rounding = std::numeric_limits<double>::epsilon() * static_cast<double>(rows);
  const double least = std::max(bounds.above, rounding * s[0].item<double>());
  if (known < most) {
    const at::Tensor rest_vectors = vectors.narrow(1, 0, columns - known);
    at::Tensor rest = matrix.mm(rest_vectors);
    rest -= u.mm(u.t().mm(rest));
    if (rest.norm().item<double>() > least) {
      auto [rest_u, rest_s, rest_vt] = at::linalg_svd(rest, /*full_matrices=*/false);
      const int64_t added = std::min(most - known, rest_s.size(0));
      u = at::cat({u, rest_u.narrow(1, 0, added)}, 1);
      s = at::cat({s, rest_s.narrow(0, 0, added)});
      v = at::cat({v, rest_vectors.mm(rest_vt.narrow(0, 0, added).t())}, 1);
    }
  }
  const int64_t kept = at::gt(s, least).sum().item<int64_t>();
  return {u.narrow(1, 0, kept), s.narrow(0, 0, kept), v.narrow(1, 0, kept)};
}

}  // namespace

Svd factorize(const at::Tensor& matrix, SvdBounds bounds) {
  const OneThread one;
  const at::Tensor values = matrix.to(at::kDouble);
  if (values.size(0) >= values.size(1)) return factorize_tall(values.contiguous(), bounds);
  Svd found = factorize_tall(values.t().contiguous(), bounds);
  std::swap(found.u, found.v);
  return found;
}

at::Tensor polar_factor(const at::Tensor& matrix) {
  const Svd factors = factorize(matrix);
  const OneThread one;
  return factors.directions();
}

}  // namespace assay
