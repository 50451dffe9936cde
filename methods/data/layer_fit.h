/// Least-squares fits of one layer to the same layer of all experts: what RegMean and its
/// relatives share. All matrices are float64, and values do not depend on the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/method/method.h"

namespace assay {

/// The weights of a layer as matrices [outputs, inputs].
struct LayerMatrices {
  std::vector<at::Tensor> experts;
  at::Tensor mean;  ///< by the shares

  int64_t outputs() const { return mean.size(0); }
  int64_t inputs() const { return mean.size(1); }
};
LayerMatrices layer_matrices(const std::vector<at::Tensor>& experts, const LayerInfo& layer,
                             const std::vector<double>& shares);
/// The weight in the shape in which the layer stores it, float32.
at::Tensor stored_weight(const at::Tensor& matrix, const LayerInfo& layer, at::IntArrayRef shape);

/// What Gram matrices are read as: [size, size] on this device; zeros where the statistic has none,
/// as of a layer that no token reached. DataError on another shape.
struct GramReader {
  StatisticRef statistic;
  double alpha = 1;  ///< multiplies what is off the diagonal
  at::Tensor read(const Evidence& evidence, size_t expert, const std::string& name, int64_t size,
                  at::Device device) const;
  /// As it is stored, in its dtype and without alpha.
  at::Tensor stored(const Evidence& evidence, size_t expert, const std::string& name, int64_t size,
                    at::Device device) const;
};
/// The matrix in float64, with what is off its diagonal multiplied by alpha.
at::Tensor reduced_gram(const at::Tensor& gram, double alpha);

/// The equations D sum = right of the difference D between the fit and the mean M of the experts:
/// sum = Σ c_i G_i, right = Σ c_i (W_i - M) G_i, with shares c of sum 1. As a difference, so that
/// copies of one expert give its very weights, and the mean stays where the data say nothing.
/// `gram` gives the matrices as they are stored, in any floating dtype; what is off their diagonals
/// is multiplied by alpha.
struct NormalEquations {
  at::Tensor sum;    ///< [inputs, inputs]
  at::Tensor right;  ///< [outputs, inputs]
};
NormalEquations normal_equations(const LayerMatrices& layer, const std::vector<double>& shares,
                                 double alpha,
                                 const std::function<at::Tensor(size_t expert)>& gram);

/// What a solution met.
struct SolveNotes {
  double ridge = 0;        ///< the multiple of the mean diagonal that was added
  double dead_inputs = 0;  ///< the share of inputs that were 0 in all examples
};
/// D. DataError, which names the tensor, when the sum is no Gram matrix. Ends the equations.
at::Tensor solve(NormalEquations& equations, const std::string& tensor, SolveNotes& notes);

/// The lower Cholesky factor of a symmetric matrix; undefined when it is not positive definite.
/// Only the lower triangle is read.
at::Tensor cholesky_factor(const at::Tensor& matrix);

/// Calls `work(first, count)` for the rows in chunks: on the CPU several at a time, each on one
/// thread, so that values do not depend on how many there are.
void for_row_chunks(const at::Tensor& matrix,
                    const std::function<void(int64_t first, int64_t count)>& work);

/// Whether the layer is a head: it makes the scores of one task, or of all tokens. Known by the
/// names that models give it, outside of the transformer blocks.
bool is_head(const LayerInfo& layer);

/// The parameter that says what becomes of heads.
enum class Heads { kOthers, kFit };
void heads_parameter(Heads& heads, auto&& p) {
  p(heads, {.name = "heads",
            .choices = {"others", "fit"},
            .help = "whether a layer that makes scores (lm_head, classifier, head, ...) is merged "
                    "as tensors that are no layers are, as in published code, or fitted like "
                    "every other layer"});
}

/// The layer that is to be fitted; null for tensors that are left to another method.
inline const LayerInfo* fitted_layer(const Evidence& evidence, const std::string& tensor,
                                     Heads heads) {
  const LayerInfo* layer = evidence.layer(tensor);
  return layer && heads == Heads::kOthers && is_head(*layer) ? nullptr : layer;
}

}  // namespace assay
