#include "harness/method/running_moments.h"

#include <ATen/ATen.h>

namespace assay {

bool is_running_moment(const std::string& tensor) {
  return tensor.ends_with(".running_mean") || tensor.ends_with(".running_var");
}

at::Tensor mean_moments(const TensorJob& job) {
  at::Tensor sum = at::zeros_like(job.experts.front(), at::kDouble);
  for (const at::Tensor& expert : job.experts) sum += expert;
  return (sum / static_cast<double>(job.experts.size())).to(at::kFloat);
}

}  // namespace assay
