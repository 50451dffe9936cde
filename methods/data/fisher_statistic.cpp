#include "methods/data/fisher_statistic.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"

namespace assay {

std::vector<FisherStatistic::Source> FisherStatistic::open(const Evidence& evidence,
                                                           size_t experts) const {
  std::vector<Source> fishers;
  for (size_t i = 0; i < experts; ++i) fishers.push_back(evidence.statistic(ref(), i));
  return fishers;
}

std::vector<FisherStatistic::Source> FisherStatistic::open(const TensorParts& tensor) const {
  std::vector<Source> fishers = open(tensor.evidence(), tensor.num_experts());
  for (size_t i = 0; i < fishers.size(); ++i) {
    const TensorInfo* found = fishers[i]->find(tensor.name());
    if (found && found->numel() != tensor.elements())
      data_error("the statistic 'fisher' of expert {} has {} elements for tensor '{}': expected {}",
                 i, found->numel(), tensor.name(), tensor.elements());
    if (!found) fishers[i] = nullptr;
  }
  return fishers;
}

at::Tensor read_fisher(const FisherStatistic::Source& source, const TensorJob& part) {
  const at::Tensor& expert = part.experts.front();
  at::Tensor fisher = at::zeros_like(expert, expert.options().dtype(at::kDouble));
  if (source) fisher.copy_(source->read_part(part.name, part.offset, expert.numel()));
  return fisher;
}

}  // namespace assay
