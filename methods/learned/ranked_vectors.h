/// Task vectors as singular components with binary masks, and the gradients of masks and
/// coefficients.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "methods/learned/coefficients.h"
#include "methods/spectral/svd.h"

namespace assay {

/// One tensor of the merged model: origin + sum over experts i of c_i d_i. Of a matrix d_i is the
/// sum of its singular components whose mask is 1.
struct RankedTensor {
  std::string name;
  at::Tensor origin;                  ///< float32
  std::vector<Svd> components{};      ///< of a matrix, for each expert
  std::vector<at::Tensor> vectors{};  ///< of what is no matrix, float32, for each expert
};

/// A mask is 1 where its logit is positive. Its gradient is that of sigmoid(logit / temperature) in
/// its place: the straight-through estimator, arXiv:1308.3432.
class RankedVectors final : public LearnedWeights {
 public:
  static constexpr double kInitialLogit = 0.1;

  RankedVectors(double temperature, double coefficient)
      : temperature_(temperature), coefficient_(coefficient) {}

  /// Logits begin with kInitialLogit for the first `kept` components of each expert, and with minus
  /// this for the others.
  void add(RankedTensor tensor, int64_t kept);

  /// The coefficients float64 [experts] of each tensor, and the logits [components] of each
  /// matrix and expert.
  std::vector<at::Tensor> parameters() const;
  StateDict weights(bool leaves) const override;
  void add_gradients(const StateDict& weights) const override;
  /// The mean coefficient, and the share of components whose mask is 1.
  void report(const TensorParts& reports) const override;

 private:
  struct Learned {
    RankedTensor tensor;
    at::Tensor coefficients;
    std::vector<at::Tensor> logits;  ///< of each expert; empty where it is no matrix
  };

  double temperature_, coefficient_;
  std::vector<Learned> learned_;
};

}  // namespace assay
