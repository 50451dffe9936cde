#include "methods/spectral/matrices.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/glob.h"
#include "harness/core/thread_pool.h"
#include "harness/kernels/one_thread.h"
#include "methods/dense/task_vectors.h"

namespace assay {

bool MatrixRule::applies(const std::string& tensor, at::IntArrayRef shape) const {
  if (shape.size() < 2 || (shape.size() > 2 && !unfold)) return false;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return false;
  return !matches_any(exclude, tensor);
}

at::Tensor delta_matrix(const TensorJob& job, size_t expert) {
  const at::Tensor values = job.experts[expert].to(at::kDouble).flatten(1);
  return job.base.defined() ? values - job.base.to(at::kDouble).flatten(1) : values;
}

std::vector<at::Tensor> delta_matrices(const TensorJob& job) {
  std::vector<at::Tensor> deltas;
  for (size_t i = 0; i < job.experts.size(); ++i) deltas.push_back(delta_matrix(job, i));
  return deltas;
}

at::Tensor add_matrix(const TensorJob& job, const at::Tensor& delta, double scale) {
  return at::add(job.base.to(at::kDouble), delta.reshape(job.base.sizes()), scale).to(at::kFloat);
}

at::Tensor merge_other(const TensorJob& job, Others others, double scale) {
  if (others == Others::kBase) return job.base;
  const size_t n = job.experts.size();
  return delta_merge(job.base, job.experts, weighted_terms({}, n),
                     {.scale = static_cast<float>(scale / static_cast<double>(n))});
}

at::Tensor TaskOthers::shared(const TensorJob& job) const {
  return merge_other(job, rest == Rest::kMean ? Others::kMean : Others::kBase, 1);
}

void for_each_matrix(const TensorJob& job, size_t count, const std::function<void(size_t)>& body) {
  if (!job.experts.front().is_cpu()) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  ThreadPool::shared().run(at::get_num_threads(), static_cast<int64_t>(count),
                           [&](IndexQueue& indices) {
                             const OneThread one;
                             while (const auto i = indices.next()) body(static_cast<size_t>(*i));
                           });
}

}  // namespace assay
