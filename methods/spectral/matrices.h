/// Which tensors a spectral method takes as matrices, what becomes of the others, and the deltas of
/// a tensor as matrices.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/method/method.h"

namespace assay {

/// What becomes of the tensors that are no matrices.
enum class Others { kMean, kBase };

/// Embeddings by the names that they have in published models.
inline const std::vector<std::string> kEmbeddings{"*embed*", "*wte*", "*wpe*", "*shared.weight"};

struct MatrixRule {
  std::vector<std::string> exclude{"*text_projection*"};
  bool unfold = false;

  /// Declares them.
  void parameters(auto&& p) {
    p(exclude, {.name = "exclude",
                .help = "globs of tensors that are no matrices to this method, as published code "
                        "leaves out embeddings or CLIP's text projection"});
    p(unfold, {.name = "unfold",
               .help = "take tensors of more than two dimensions, such as filters of "
                       "convolutions, as matrices with a row per output"});
  }
  /// Whether the method works on this tensor as on a matrix.
  bool applies(const std::string& tensor, at::IntArrayRef shape) const;
  bool applies(const TensorJob& job) const { return applies(job.name, job.experts[0].sizes()); }
};

/// Declares what becomes of the others.
void others_parameter(Others& others, auto&& p) {
  p(others, {.name = "others",
             .choices = {"mean", "base"},
             .help = "tensors that are no matrices, such as biases and norms, get the mean of the "
                     "task vectors, or stay the base's"});
}

/// What becomes of the others where every task has a model of its own: an expert's, whole, as it is
/// stored; the base plus the mean of the task vectors; or the base's.
struct TaskOthers {
  enum class Rest { kOwn, kMean, kBase };
  Rest rest = Rest::kOwn;

  /// Declares it.
  void parameters(auto&& p) {
    p(rest, {.name = "others",
             .choices = {"own", "mean", "base"},
             .help = "tensors that are no matrices are each expert's own, whole; or get the mean "
                     "of the task vectors; or stay the base's"});
  }
  /// In the shared part.
  at::Tensor shared(const TensorJob& job) const;
  /// In the expert's task model.
  at::Tensor own(const TensorJob& job, size_t expert) const {
    return rest == Rest::kOwn ? job.experts[expert] : shared(job);
  }
  /// What a task model takes for such a tensor beyond the shared part.
  int64_t bytes(const TensorInfo& tensor) const { return rest == Rest::kOwn ? tensor.bytes() : 0; }
};

/// An expert minus the base as a float64 matrix [rows, the rest]; an expert itself without a base.
at::Tensor delta_matrix(const TensorJob& job, size_t expert);
std::vector<at::Tensor> delta_matrices(const TensorJob& job);

/// base + scale * delta in float32, rounded once; `delta` is a matrix as above.
at::Tensor add_matrix(const TensorJob& job, const at::Tensor& delta, double scale);

/// What becomes of a tensor that is no matrix: base + scale * mean of the task vectors, or base.
at::Tensor merge_other(const TensorJob& job, Others others, double scale);

/// Calls `body` with every index below `count`, on several threads where the work is the host's;
/// LibTorch's operators stay on the thread that calls them.
void for_each_matrix(const TensorJob& job, size_t count, const std::function<void(size_t)>& body);

}  // namespace assay
