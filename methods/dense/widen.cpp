#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "harness/core/glob.h"
#include "harness/kernels/one_thread.h"
#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// WIDEN: weights of the task vectors for each column of a matrix, by how much its length and its
/// direction changed against the model's other columns, and against the other models.
struct Widen {
  static constexpr MethodInfo info{
      .name = "widen",
      .paper = "arXiv:2408.03092 §3",
      .summary = "task vectors weighed by column, by how its length and direction changed",
      .needs = {.base = true},
      .identity = "",  // columns of copies count as a whole where they changed much
      .flops = "9 N m n + 2 d"};
  double ratio = 1;
  double score = 1;
  double scale = 1;
  std::vector<std::string> by_row{"*embed_tokens*", "*wte*", "*shared.weight",
                                  "*word_embeddings.weight"};

  void parameters(auto&& p) {
    p(ratio, {.name = "ratio",
              .range = {0, 10},
              .sweep = {0.5, 1, 2},
              .help = "what changed more than this multiple of the mean over a model's columns has "
                      "the score; the others share 1 by a softmax over the models"});
    p(score, {.name = "score",
              .range = {0, 5},
              .sweep = {0.5, 0.8, 1},
              .help = "what multiplies a task vector where it changed much"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .help = "multiplier of the merged task vector; the paper's is 1"});
    p(by_row, {.name = "by_row",
               .help = "globs of tensors whose rows are taken as columns: those of token "
                       "embeddings, each a token"});
  }

  at::Tensor merge(const TensorJob& job) const {
    const OneThread one;
    if (job.base.numel() == 0) return job.base;
    const bool vector = job.base.dim() < 2;
    const at::Tensor base = columns(job, job.base);
    std::vector<at::Tensor> experts, lengths, turns;
    for (const at::Tensor& expert : job.experts) {
      experts.push_back(columns(job, expert));
      if (vector) {
        lengths.push_back((experts.back() - base).abs().flatten());
        continue;
      }
      const at::Tensor norms = experts.back().norm(2, 0), base_norms = base.norm(2, 0);
      lengths.push_back((norms - base_norms).abs());
      // A column of zeros has no direction.
      const at::Tensor product = (norms * base_norms).clamp_min(kLeastNorm);
      turns.push_back(1 - (experts.back() * base).sum(0) / product);
    }
    at::Tensor weights;
    if (vector)  // by how much each entry changed, not by its rank
      weights = scores(at::stack(lengths));
    else
      weights = (scores(ranks(at::stack(lengths))) + scores(ranks(at::stack(turns)))) / 2;
    at::Tensor sum = at::zeros_like(base);
    for (size_t i = 0; i < experts.size(); ++i)
      sum += (experts[i] - base) * weights[static_cast<int64_t>(i)];
    const at::Tensor merged = base + sum * scale;
    return (is_by_row(job.name) ? merged.t() : merged).reshape(job.base.sizes()).to(at::kFloat);
  }

 private:
  static constexpr double kLeastNorm = 1e-30;

  bool is_by_row(const std::string& tensor) const { return matches_any(by_row, tensor); }
  /// Float64 [what a column has, columns].
  at::Tensor columns(const TensorJob& job, const at::Tensor& tensor) const {
    const at::Tensor matrix = as_rows(tensor.to(at::kDouble));
    return is_by_row(job.name) ? matrix.t() : matrix;
  }
  /// [models, columns]: each value's place in its row, from 0 to below 1; of equal ones the first
  /// come first.
  static at::Tensor ranks(const at::Tensor& values) {
    const int64_t count = values.size(1);
    const at::Tensor order = std::get<1>(values.sort(std::optional<bool>(true), 1, false));
    const at::Tensor places = at::arange(count, values.options()) / static_cast<double>(count);
    return at::empty_like(values).scatter_(1, order, places.expand_as(values).contiguous());
  }
  /// [models, columns].
  at::Tensor scores(const at::Tensor& significance) const {
    const at::Tensor large = significance > significance.mean(1, /*keepdim=*/true) * ratio;
    return at::where(large, score, at::softmax(significance, 0));
  }
};

ASSAY_METHOD(Widen)

}  // namespace
}  // namespace assay
