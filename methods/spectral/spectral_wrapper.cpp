#include "methods/spectral/spectral_wrapper.h"

#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/inner_merge.h"

namespace assay {

std::optional<std::string> SpectralWrapper::conflict() const { return inner_conflict(*of); }

void SpectralWrapper::prepare(const ModelJob& job) { of->prepare(InnerModel(job)); }

at::Tensor SpectralWrapper::inner(const TensorJob& job) const {
  return merge_inner(*of, job, job.base, job.experts);
}

at::Tensor SpectralWrapper::inner_changed(
    const TensorJob& job,
    const std::function<at::Tensor(const at::Tensor& change)>& change_of) const {
  const at::Tensor merged = inner(job);
  if (!matrices.applies(job)) return merged;
  const OneThread one;
  const at::Tensor changed =
      change_of(merged.to(at::kDouble).flatten(1) - job.base.to(at::kDouble).flatten(1));
  return changed.defined() ? add_matrix(job, changed, 1) : merged;
}

}  // namespace assay
