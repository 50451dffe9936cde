/// A weighted sum as LibTorch's addcmul makes it on CPUs, with fused multiply-adds.
#pragma once

#include <vector>

namespace at {
class Tensor;
}

namespace assay {

/// (fma(x_n, w_n, ... fma(x_1, w_1, 0))) / divisor in float32, of tensors of one shape and device.
/// A step is rounded once, but for one in about 10^8 whose exact value lies within 2^-29 of the
/// middle between two floats.
at::Tensor fused_sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                     float divisor);

}  // namespace assay
