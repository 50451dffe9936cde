#include "methods/dense/part_deltas.h"
#include "methods/dense/trim_elect.h"

namespace assay {
namespace {

/// Localize-and-Stitch without data: of each task vector the largest entries; where several experts
/// keep one, their mean.
struct LocalizeStitch {
  static constexpr MethodInfo info{
      .name = "localize_stitch",
      .paper = "arXiv:2408.13656 §3",
      .summary = "the largest entries of each task vector, averaged where they overlap",
      .needs = {.base = true},
      .identity = R"({"density": 1})"};
  TrimElect trim;
  double scale = 1;

  LocalizeStitch() {
    trim.density = 0.1;
    trim.tie = TrimElect::Tie::kZero;  // there is no election, and no majority to count
  }

  void parameters(auto&& p) {
    p(trim.density, {.name = "density",
                     .range = {0, 1},
                     .sweep = {0.01, 0.05, 0.1, 0.2},
                     .help = "share of each whole task vector that is kept, by magnitude"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.5, 1.0, 1.5},
              .help = "multiplier of the merged task vector; the paper's is 1"});
  }

  void prepare(const ModelJob& job) { trim.prepare(job); }
  TrimElect::Trimmed measure(const TensorParts& tensor) const { return trim.measure(tensor); }
  at::Tensor merge(const TensorJob& part, const TrimElect::Trimmed& trimmed) const {
    at::Tensor sum = at::zeros({part.base.numel()}, part.base.options().dtype(at::kFloat));
    const at::Tensor zeros = at::zeros_like(sum);
    at::Tensor keepers = at::zeros_like(sum);
    for (size_t i = 0; i < part.experts.size(); ++i) {
      const at::Tensor kept =
          delta_merge(zeros, {part_delta(part, i)}, {trimmed.terms[i]}, {}, part.offset);
      sum += kept;
      keepers += kept != 0;
    }
    return add_to_base(part, sum / keepers.clamp_min_(1), scale);
  }
};

ASSAY_METHOD(LocalizeStitch)

}  // namespace
}  // namespace assay
