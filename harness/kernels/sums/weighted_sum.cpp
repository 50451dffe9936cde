#include "harness/kernels/sums/weighted_sum.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/internal/launch.h"
#include "harness/kernels/sums/runs.h"

namespace assay {
namespace {

void sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights, bool equal,
         double exact_divisor, DType rounding, at::Tensor& out) {
  const Operands operands(tensors);
  const DType storage = operands.check_result(out);
  std::vector<float> factors;
  for (const double weight : weights)
    factors.push_back(round_to(static_cast<float>(weight), rounding));
  const float divisor = round_to(static_cast<float>(exact_divisor), rounding);
  const int n = operands.size();
  count_flops((equal ? n : 2 * n - 1) + (divisor != 1.0f), operands.count());
  void* result = out.mutable_data_ptr();
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      CudaLaunch launch(operands.device());
      cuda::weighted_sum(launch.upload(operands), launch.upload(factors), n, equal, divisor,
                         rounding, operands.count(), result, storage, launch.stream());
      return;
    }
  const auto make = [&] { return RunValues(operands); };
  share_runs(operands.count(), make, [&](RunValues& values, int64_t begin, int64_t size) {
    float sums[kRun];
    values.load(begin, size);
    weighted_sum_run(values.rows(), n, factors.data(), equal, divisor, rounding, size, sums);
    store_run(sums, begin, size, result, storage);
  });
}

}  // namespace

at::Tensor weighted_sum(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                        DType rounding, double divisor) {
  at::Tensor out = float32_like(tensors);
  weighted_sum_into(tensors, weights, out, rounding, divisor);
  return out;
}

void weighted_sum_into(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                       at::Tensor& out, DType rounding, double divisor) {
  ASSAY_CHECK(tensors.size() == weights.size());
  sum(tensors, weights, /*equal=*/false, divisor, rounding, out);
}

at::Tensor scaled_sum(const std::vector<at::Tensor>& tensors, double weight, DType rounding) {
  at::Tensor out = float32_like(tensors);
  scaled_sum_into(tensors, weight, out, rounding);
  return out;
}

void scaled_sum_into(const std::vector<at::Tensor>& tensors, double weight, at::Tensor& out,
                     DType rounding) {
  sum(tensors, {weight}, /*equal=*/true, /*exact_divisor=*/1.0, rounding, out);
}

}  // namespace assay
