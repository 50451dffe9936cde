#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/cost/internal/flops_rules.h"

namespace assay {
namespace {

/// The sizes of a batch of matrices.
struct Matrices {
  int64_t batch = 0, rows = 0, columns = 0;
  int64_t shorter() const { return std::min(rows, columns); }
  int64_t longer() const { return std::max(rows, columns); }
};

Matrices matrices(const c10::IValue& input) {
  const at::Tensor& tensor = input.toTensor();
  if (tensor.dim() < 2 || tensor.numel() == 0) return {};
  const int64_t rows = tensor.size(-2), columns = tensor.size(-1);
  return {tensor.numel() / (rows * columns), rows, columns};
}

/// Right-hand sides of systems whose matrices are n by n: of shape [.., n, k] or [.., n].
int64_t right_sides(const c10::IValue& input, const Matrices& of) {
  return of.rows == 0 ? 0 : input.toTensor().numel() / of.rows;
}

bool flag(FlopsInputs inputs, size_t place) {
  return place >= inputs.size() || !inputs[place].isBool() || inputs[place].toBool();
}

int64_t qr_triangle(const Matrices& m) {
  const int64_t p = m.shorter();
  return 2 * p * p * m.longer() - 2 * p * p * p / 3;
}

/// (A, mode): computing the orthogonal factor doubles the cost.
int64_t qr(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  const bool triangle = inputs.size() > 1 && inputs[1].isString() && inputs[1].toStringRef() == "r";
  return m.batch * qr_triangle(m) * (triangle ? 1 : 2);
}
int64_t qr_of_one(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  return m.batch * qr_triangle(m);
}

/// (A, full_matrices, compute_uv, driver), by Golub and Reinsch.
int64_t svd(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  const int64_t p = m.shorter(), q = m.longer(), cube = p * p * p;
  return m.batch * (flag(inputs, 2) ? 14 * q * p * p + 8 * cube : 4 * q * p * p - 4 * cube / 3);
}

/// (A, UPLO, compute_v): eigenvalues of a symmetric matrix, and eigenvectors.
int64_t eigh(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  const int64_t cube = m.rows * m.rows * m.rows;
  return m.batch * (flag(inputs, 2) ? 9 * cube : 4 * cube / 3);
}

/// `factor` thirds of n^3.
int64_t cube_thirds(FlopsInputs inputs, int64_t factor) {
  const Matrices m = matrices(inputs[0]);
  return m.batch * (factor * m.rows * m.rows * m.rows / 3);
}

int64_t lu(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  const int64_t p = m.shorter();
  return m.batch * (m.longer() * p * p - p * p * p / 3);
}

/// (A, B, ..): LU, then two triangular solves per right-hand side.
int64_t solve(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  return lu(inputs, 1) + 2 * m.rows * m.rows * right_sides(inputs[1], m);
}

/// `factor` times n^2 per right-hand side; inputs[Matrix] are the matrices, the other input is the
/// right-hand sides.
template <size_t Matrix>
int64_t substitute(FlopsInputs inputs, int64_t factor) {
  const Matrices m = matrices(inputs[Matrix]);
  return factor * m.rows * m.rows * right_sides(inputs[1 - Matrix], m);
}
/// (LU, pivots, B)
int64_t lu_solve(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  return 2 * m.rows * m.rows * right_sides(inputs[2], m);
}

/// (A, B, ..): by a QR decomposition.
int64_t least_squares(FlopsInputs inputs, int64_t) {
  const Matrices m = matrices(inputs[0]);
  return m.batch * qr_triangle(m) + 4 * m.shorter() * m.longer() * right_sides(inputs[1], m);
}

/// (x, dims, ..): 5 n log2 n per transform of n complex numbers.
int64_t fourier(FlopsInputs inputs, int64_t) {
  const at::Tensor& x = inputs[0].toTensor();
  double length = 1;
  for (const int64_t dim : inputs[1].toIntVector()) length *= static_cast<double>(x.size(dim));
  return static_cast<int64_t>(static_cast<double>(5 * x.numel()) * std::log2(length));
}

/// Products of queries [.., heads, L, e] and keys [.., S, e], from the given position on.
int64_t attention_scores(FlopsInputs inputs, size_t place) {
  const at::Tensor& query = inputs[place].toTensor();
  return query.numel() / std::max<int64_t>(1, query.size(-1)) *
         inputs[place + 1].toTensor().size(-2);
}

/// Of these with values [.., S, v]: two products and a softmax; a bias is one sum more. Backward:
/// five products (scores recomputed), softmax and its gradient.
int64_t attention(FlopsInputs inputs, size_t place, bool backward) {
  const int64_t e = inputs[place].toTensor().size(-1), v = inputs[place + 2].toTensor().size(-1);
  return attention_scores(inputs, place) * (backward ? 2 * (3 * e + 2 * v) + 9 : 2 * (e + v) + 5);
}
int64_t attention_forward(FlopsInputs inputs, int64_t) {
  const bool biased = std::any_of(inputs.begin() + 3, inputs.end(), [](const c10::IValue& input) {
    return input.isTensor() && input.toTensor().defined();
  });
  return attention(inputs, 0, false) + (biased ? attention_scores(inputs, 0) : 0);
}
int64_t attention_backward(FlopsInputs inputs, int64_t) { return attention(inputs, 1, true); }

}  // namespace

FlopsRules composed_rules() {
  FlopsRules t = {
      {"linalg_qr", {qr}},
      {"geqrf", {qr_of_one}},
      {"linalg_householder_product", {qr_of_one}},
      {"_linalg_svd", {svd}},
      {"_linalg_eigh", {eigh}},
      // Hessenberg form, QR iterations, and vectors.
      {"linalg_eig", {cube_thirds, 75}},
      {"linalg_eigvals", {cube_thirds, 30}},
      {"linalg_cholesky_ex", {cube_thirds, 1}},
      {"cholesky", {cube_thirds, 1}},
      {"cholesky_inverse", {cube_thirds, 2}},
      {"linalg_inv_ex", {cube_thirds, 6}},
      {"_linalg_det", {lu}},
      {"_linalg_slogdet", {lu}},
      {"linalg_lu_factor_ex", {lu}},
      {"linalg_lu", {lu}},
      {"_linalg_solve_ex", {solve}},
      {"linalg_lu_solve", {lu_solve}},
      {"linalg_solve_triangular", {substitute<0>, 1}},
      {"triangular_solve", {substitute<1>, 1}},
      {"cholesky_solve", {substitute<1>, 2}},
      {"linalg_lstsq", {least_squares}},
      {"_fft_c2c", {fourier}},
  };
  for (const char* name :
       {"_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_fused_attention_overrideable"})
    t[name] = {attention_forward};
  for (const char* name : {"_scaled_dot_product_flash_attention_backward",
                           "_scaled_dot_product_flash_attention_for_cpu_backward",
                           "_scaled_dot_product_efficient_attention_backward",
                           "_scaled_dot_product_cudnn_attention_backward",
                           "_scaled_dot_product_fused_attention_overrideable_backward"})
    t[name] = {attention_backward};
  return t;
}

}  // namespace assay
