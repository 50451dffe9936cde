/// Masks of task vectors that are drawn from relaxed Bernoulli distributions (Concrete, Maddison et
/// al., arXiv:1611.00712), and the gradients of their logits.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "methods/learned/coefficients.h"

namespace assay {

/// log(u / (1 - u)), float32, with a uniform u in (0, 1) for each element: a function of the key
/// and the element's index alone.
at::Tensor logistic_noise(uint64_t key, at::IntArrayRef shape);

/// A tensor whose change from the base is masked: base + mask / mean(mask) * change. A mask that is
/// 0 everywhere gives the base.
struct MaskedTensor {
  std::string name;
  at::Tensor base, change;  ///< float32, of one shape
  uint64_t key = 0;         ///< of its draws
};

/// What a mask is, with l = logit + logistic noise: sigmoid(l / temperature), or whether l > 0.
enum class MaskType { kContinuous, kDiscrete };

/// A logit for each entry of the changes. Holds 8 bytes per entry besides the tensors: the logit
/// and the mask.
class RelaxedMasks final : public LearnedWeights {
 public:
  RelaxedMasks(double temperature, double initial_logit)
      : temperature_(temperature), initial_logit_(initial_logit) {}

  void add(MaskedTensor tensor);
  /// Draws all masks: those of a step, which are the same in every run. Before all that follows.
  void draw(int64_t step, MaskType type);

  /// The logits, float32, that require gradients.
  const std::vector<at::Tensor>& parameters() const { return logits_; }
  StateDict weights(bool leaves) const override;
  /// Of continuous masks.
  void add_gradients(const StateDict& weights) const override;
  /// The mean of the masks that were drawn last.
  void report(const TensorParts& reports) const override;

 private:
  double temperature_, initial_logit_;
  std::vector<MaskedTensor> tensors_;
  std::vector<at::Tensor> logits_, masks_;
};

}  // namespace assay
