#include <ATen/ATen.h>

#include "harness/core/hash.h"
#include "harness/core/philox.h"
#include "methods/spectral/matrices.h"

namespace assay {
namespace {

/// RanDeS: task vectors are added up with the signs of their columns flipped at random, each expert
/// by signs of its own. Flipped back, an expert's own task vector stands out of what has become
/// noise. The signs follow from the seed, so a task model takes no more than that.
struct RanDeS {
  static constexpr MethodInfo info{
      .name = "randes",
      .paper = "arXiv:2505.11204 §3",
      .summary = "a sum of task vectors with random signs, which each task's own signs undo",
      .needs = {.base = true, .output = Output::kModelPerTask},
      .randomized = true,
      .identity = "",  // the other task vectors stay in as noise
      .flops = "(4 N + 2) d for a task model"};
  double scale = 0.5;
  MatrixRule matrices{kEmbeddings, /*unfold=*/true};
  Others others = Others::kMean;

  void parameters(auto&& p) {
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.3, 0.5, 0.7, 1.0},
              .help = "multiplier of the task vectors"});
    matrices.parameters(p);
    others_parameter(others, p);
  }

  /// Without a task's signs the sum is noise: such tensors are the base's.
  at::Tensor merge(const TensorJob& job) const {
    return matrices.applies(job) ? job.base : merge_other(job, others, scale);
  }

  at::Tensor merge_for(const TensorJob& job, size_t expert) const {
    if (!matrices.applies(job)) return merge_other(job, others, scale);
    at::Tensor sum = at::zeros_like(delta_matrix(job, 0));
    for (size_t i = 0; i < job.experts.size(); ++i)
      sum += delta_matrix(job, i) * signs(job, i, sum.size(1)).to(sum.device());
    return add_matrix(job, sum * signs(job, expert, sum.size(1)).to(sum.device()), scale);
  }

  /// The seed of its signs.
  static int64_t task_bytes(const std::vector<TensorInfo>&) { return sizeof(uint64_t); }

 private:
  /// -1 or 1 for each column.
  static at::Tensor signs(const TensorJob& job, size_t expert, int64_t columns) {
    const uint64_t key = Hasher().text("signs of randes").number(job.expert_key(expert)).low64();
    at::Tensor out = at::empty({columns}, at::kDouble);
    auto* values = out.mutable_data_ptr<double>();
    for (int64_t c = 0; c < columns; ++c)
      values[c] = (philox_bits(key, static_cast<uint64_t>(c)) & 1) != 0 ? 1 : -1;
    return out;
  }
};

ASSAY_METHOD(RanDeS)

}  // namespace
}  // namespace assay
