/// How the experts of a group become one. Matrices are float64.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "methods/moe/mixture_layers.h"

namespace assay {

/// The matrices of one expert, by part.
using Matrices = std::vector<at::Tensor>;

/// Weights that sum to 1; equal ones where all are 0.
std::vector<double> shares(const std::vector<double>& weights);

/// The order of an expert's hidden units in which its weights have the largest product with the
/// target's: exact, one assignment. Place i gets the unit order[i].
std::vector<int64_t> unit_order(const MixtureLayer& layer, const Matrices& target,
                                const Matrices& expert);
/// The expert with its hidden units in that order: the same function.
Matrices in_order(const MixtureLayer& layer, const Matrices& expert,
                  const std::vector<int64_t>& order);

/// sum w_i W_i / (sum w_i + epsilon); the plain mean where the sum of the weights is 0.
Matrices weighted_mean(const std::vector<Matrices>& experts, const std::vector<double>& weights,
                       double epsilon = 0);
/// The same with a weight for each entry, those that `importance` has at its place.
Matrices mean_by_importance(const std::vector<Matrices>& experts,
                            const std::vector<Matrices>& importance);

/// Sub-MoE: of the matrices side by side [W_1 ... W_n] = U S [V_1 ... V_n], the V_i are averaged,
/// and `share` of the singular values are kept. With all of them it is the weighted mean.
Matrices subspace_mean(const std::vector<Matrices>& experts, const std::vector<double>& weights,
                       double share);

/// ZipIt: units of all experts that are alike become one, until as many are left as one expert has.
/// `correlations`: [experts * units, experts * units], float64. The merged unit reads the weighted
/// mean of what its members read; what its members gave is added up with the weights.
Matrices zip_mean(const MixtureLayer& layer, const std::vector<Matrices>& experts,
                  const std::vector<double>& weights, const at::Tensor& correlations, double alpha);

/// The hidden units [tokens, units] of a gated expert with SiLU, for inputs [tokens, width].
at::Tensor hidden_units(const MixtureLayer& layer, const Matrices& expert, const at::Tensor& x);
/// The place in `parts` of the matrix that reads the hidden units.
size_t output_part(const MixtureLayer& layer);

/// Sums over tokens from which the output matrix of a merged expert is fitted (MergeMoE,
/// arXiv:2510.14436): of its units, and of them with the weighted outputs of the members.
struct OutputFit {
  at::Tensor gram, cross;  ///< [units, units], [units, width]
  void add(const at::Tensor& units, const at::Tensor& outputs);
  /// The matrix [width, units] with the least squared error; `ridge`, a multiple of the mean
  /// diagonal of the Gram matrix, says how strongly it stays at `start`.
  at::Tensor solve(const at::Tensor& start, double ridge) const;
};

/// Sums over tokens of the units of several experts side by side.
struct UnitMoments {
  at::Tensor sum, products;
  double rows = 0;
  void add(const at::Tensor& units);
  /// Pearson's; 0 where a unit does not vary.
  at::Tensor correlations() const;
};

}  // namespace assay
