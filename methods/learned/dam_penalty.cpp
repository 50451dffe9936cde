#include "methods/learned/dam_penalty.h"

#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"

namespace assay {
namespace {

/// Calls `of_pair` with every two rows, in order, and stacks what it gives.
template <typename OfPair>
at::Tensor over_pairs(int64_t rows, const OfPair& of_pair) {
  std::vector<at::Tensor> values;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i + 1; j < rows; ++j) values.push_back(of_pair(i, j));
  return at::stack(values);
}

}  // namespace

at::Tensor squared_sines(const std::vector<at::Tensor>& matrices) {
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  constexpr double kLeastNorm = 1e-8;
  const auto column_sums = [](const at::Tensor& matrix) {
    return matrix.sum(0, false, at::kDouble);
  };
  std::vector<at::Tensor> norms;
  for (const at::Tensor& matrix : matrices)
    norms.push_back(column_sums(matrix.square()).sqrt() + kLeastNorm);
  return over_pairs(std::ssize(matrices), [&](int64_t i, int64_t j) {
    const auto a = static_cast<size_t>(i), b = static_cast<size_t>(j);
    const at::Tensor cosine =
        (column_sums(matrices[a] * matrices[b]) / (norms[a] * norms[b])).clamp(-1, 1);
    return (2 * cosine.acos()).sin().square();
  });
}

at::Tensor DamPenalty::operator()(const at::Tensor& coefficients, const at::Tensor& angles) const {
  const int64_t models = coefficients.size(0);
  at::Tensor sum = at::zeros({}, coefficients.options());
  if (l1 > 0) sum = sum + l1 * coefficients.abs().sum();
  if (l2 > 0) sum = sum + l2 * coefficients.norm(2, 1).sum();
  if (models < 2) return sum;
  if (similarity > 0)
    sum = sum + similarity * over_pairs(models, [&](int64_t i, int64_t j) {
                               return at::cosine_similarity(coefficients[i], coefficients[j], 0);
                             }).mean();
  if (overlap + weighted_overlap == 0) return sum;
  const at::Tensor shared = over_pairs(models, [&](int64_t i, int64_t j) {
    return at::min(coefficients[i].abs(), coefficients[j].abs());
  });
  if (overlap > 0) sum = sum + overlap * shared.sum(1).mean();
  if (weighted_overlap > 0 && angles.defined())
    sum = sum + weighted_overlap * (shared * angles).sum(1).mean();
  return sum;
}

}  // namespace assay
