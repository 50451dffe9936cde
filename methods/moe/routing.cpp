#include "methods/moe/routing.h"

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/error.h"

namespace assay {
namespace {

std::vector<double> as_list(const at::Tensor& values) {
  const at::Tensor flat = values.contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

}  // namespace

double usage_entropy(const std::vector<double>& usage) {
  double entropy = 0;
  for (const double share : usage)
    if (share > 0) entropy -= share * std::log(share);
  return usage.size() < 2 ? 1 : entropy / std::log(static_cast<double>(usage.size()));
}

Routing read_routing(const TensorSource& statistic, const std::string& router, bool with_outputs) {
  constexpr int64_t kCount = 0, kSaliency = 2, kFirstLogit = 4;
  const at::Tensor columns = statistic.read(router).to(at::kCPU, at::kDouble);
  const int64_t experts = columns.size(0), first = kFirstLogit + experts;
  if (columns.dim() != 2 || columns.size(1) <= first)
    data_error("{}: '{}' has shape {}, which is none of the statistic 'routing'", statistic.label(),
               router, shape_text(columns.sizes()));
  const int64_t width = (columns.size(1) - first) / (with_outputs ? 2 : 1);
  const at::Tensor counts = columns.select(1, kCount);
  const auto divisor = [](const at::Tensor& count) {  // of sums that are 0 where the count is
    return at::where(count > 0, count, at::ones_like(count));
  };
  const at::Tensor once = divisor(counts);
  Routing routing;
  routing.usage = as_list(counts / divisor(counts.sum()));
  routing.saliency = as_list(columns.select(1, kSaliency) / once);
  routing.logits = columns.narrow(1, kFirstLogit, experts);
  routing.inputs = columns.narrow(1, first, width) / once.unsqueeze(1);
  if (with_outputs) routing.outputs = columns.narrow(1, first + width, width);
  return routing;
}

}  // namespace assay
