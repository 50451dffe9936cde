#include <ATen/ATen.h>

#include "harness/core/hash.h"
#include "harness/kernels/task_vector/delta_statistics.h"
#include "methods/dense/part_deltas.h"
#include "methods/dense/task_vectors.h"

namespace assay {
namespace {

/// EMR-Merging: elect one unified task vector, and give each task a mask of the entries that agree
/// with its own expert and a factor that restores their size.
struct Emr {
  static constexpr MethodInfo info{
      .name = "emr",
      .paper = "arXiv:2405.17461 §3.2",
      .summary = "a unified task vector, and for each task a mask and a rescaler of it",
      .needs = {.base = true, .output = Output::kModelPerTask},
      .elementwise = true,
      .flops = "17 N d"};

  void parameters(auto&&) {}

  void prepare(const ModelJob& job) {
    std::vector<std::vector<double>> means(job.names().size());
    job.for_each([&](size_t k) { means[k] = mean_magnitudes(job.parts(job.names()[k])); });
    const size_t experts = job.num_experts();
    std::vector<double> sums(2 * experts);
    for (const std::vector<double>& tensor : means)
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += tensor[i];
    rescalers_.resize(experts);
    for (size_t i = 0; i < experts; ++i) {
      const double own = sums[i], kept = sums[experts + i];
      rescalers_[i] = kept > 0 ? static_cast<float>(own / kept) : 1.0F;
    }
  }

  /// The model that no task's mask has been applied to.
  at::Tensor merge(const TensorJob& part) const { return add_to_base(part, unified(part), 1.0); }

  at::Tensor merge_for(const TensorJob& part, size_t expert) const {
    return add_to_base(part, masked(part, unified(part), expert), rescalers_.at(expert));
  }

  /// A mask of one bit per element, and the rescaler.
  static int64_t task_bytes(const std::vector<TensorInfo>& tensors) {
    int64_t bytes = sizeof(float);
    for (const TensorInfo& tensor : tensors) bytes += (tensor.numel() + 7) / 8;
    return bytes;
  }

 private:
  /// The sign of the sum, minus where it is 0, and the largest magnitude of that sign.
  static void elect_into(const TensorJob& part, at::Tensor& delta) {
    constexpr DeltaRule kRule{.reduce = Reduce::kMaxAgree, .tie_sign = -1};
    at::Tensor unused = at::empty_like(delta);
    delta_merge_into(part.base, part.experts, weighted_terms({}, part.experts.size()), kRule,
                     unused, part.offset, &delta);
  }
  static at::Tensor elected(const TensorJob& part) {
    at::Tensor delta = at::empty({part.base.numel()}, part.base.options().dtype(at::kFloat));
    elect_into(part, delta);
    return delta;
  }

  /// elected(), which all task models share.
  static at::Tensor unified(const TensorJob& part) {
    std::string key = "emr";
    if (part.caches())
      for (size_t i = 0; i < part.experts.size(); ++i) key += part.delta_key(i);
    const at::Tensor shared = part.cached_part(
        key, part.base.numel(), [&](at::Tensor& values) { elect_into(part, values); });
    return shared.defined() ? shared : elected(part);
  }

  /// `unified` where the expert's delta has its sign, else 0. Signs are multiplied, since a product
  /// of small values could become 0.
  static at::Tensor masked(const TensorJob& part, const at::Tensor& unified, size_t expert) {
    return at::where(at::gt(part_delta(part, expert).sign_() * unified.sign(), 0), unified, 0.0F);
  }

  /// The means over a tensor of |delta| of every expert, and of what its mask keeps of the unified
  /// one. The rescaler is a ratio of sums of such means, as in the authors' program, so that every
  /// tensor counts alike.
  static std::vector<double> mean_magnitudes(const TensorParts& tensor) {
    const size_t experts = tensor.num_experts();
    std::string key = "emr means";
    for (size_t i = 0; i < experts; ++i) key += tensor.delta_key(i);
    const auto compute = [&](const std::vector<size_t>&) {
      std::vector<double> means(2 * experts);
      tensor.for_each([&](const TensorJob& part) {
        const at::Tensor delta = elected(part), zeros = at::zeros_like(delta);
        for (size_t i = 0; i < experts; ++i) {
          means[i] += delta_l1_norms(part.base, part.experts[i], {}).whole;
          means[experts + i] += delta_l1_norms(zeros, masked(part, delta, i), {}).whole;
        }
      });
      for (double& mean : means)
        mean /= static_cast<double>(std::max<int64_t>(1, tensor.elements()));
      return std::vector<std::vector<double>>{std::move(means)};
    };
    return tensor.cached<std::vector<double>>({key}, compute).front();
  }

  std::vector<float> rescalers_;
};

ASSAY_METHOD(Emr)

}  // namespace
}  // namespace assay
