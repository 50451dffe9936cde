#include "methods/permute/permuted_job.h"

#include <ATen/ATen.h>

#include "harness/method/passed_handle.h"
#include "methods/inner_merge.h"

namespace assay {

TensorJob PermutedJob::permuted(const TensorJob& tensor, const UnitGroups& groups,
                                const std::vector<std::vector<UnitOrder>>& orders) {
  std::vector<at::Tensor> experts = tensor.experts;
  for (size_t i = 0; i < experts.size(); ++i)
    if (!orders[i].empty()) experts[i] = groups.reordered(tensor.name, experts[i], orders[i]);
  return inner_job(tensor, tensor.base, std::move(experts));
}

TensorParts PermutedJob::parts(const std::string& name) const { return parts_of(tensor(name)); }

TensorJob PermutedJob::tensor(const std::string& name) const {
  return permuted(job_.tensor(name), groups_, orders_);
}

}  // namespace assay
