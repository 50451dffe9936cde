/// Adam, Kingma & Ba, arXiv:1412.6980, with its usual betas and without weight decay.
#pragma once

#include <ATen/ATen.h>

namespace assay {

class Adam {
 public:
  /// Of values of this shape, dtype and device.
  explicit Adam(const at::Tensor& values)
      : mean_(at::zeros_like(values)), square_(at::zeros_like(values)) {}

  /// Moves the values, of the constructor's shape, against their gradient.
  void step(at::Tensor& values, const at::Tensor& gradient, double rate) {
    mean_.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    square_.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    left1_ *= kBeta1;
    left2_ *= kBeta2;
    const at::Tensor divisor = (square_ / (1 - left2_)).sqrt_().add_(kEpsilon);
    values.addcdiv_(mean_, divisor, -rate / (1 - left1_));
  }

 private:
  static constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

  at::Tensor mean_, square_;
  double left1_ = 1, left2_ = 1;  ///< the powers of the betas that correct the moments' start at 0
};

}  // namespace assay
