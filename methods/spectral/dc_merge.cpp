#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/coordinates.h"
#include "methods/spectral/svd.h"
#include "methods/spectral/truncation.h"

namespace assay {
namespace {

/// DC-Merge: task vectors cut to leading singular components of more equal size, merged by another
/// method in bases that are orthogonal across tasks.
struct DcMerge {
  enum class Smoothing { kMean, kLinear, kNone };
  enum class Mask { kBlock, kNone };

  static constexpr MethodInfo info{
      .name = "dc_merge",
      .paper = "arXiv:2603.06242 §4",
      .summary =
          "another method on smoothed low-rank task vectors in bases orthogonal across tasks",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "rank": 1,
                      "smoothing": "none", "mask": "none"})",
      .flops = "N (4 m n^2 + 11 n^3) + 14 m n^2 + 24 n^3"};
  static constexpr Preset presets[] = {
      {"authors",
       R"({"of": {"method": "ties", "density": 0.001, "trim.scope": "tensor", "elect.tie": "zero",
                  "trim.rule": "exact_count"}, "smoothing": "none"})",
       "the authors' program for full fine-tuning: a thousandth of the coordinates, no smoothing"},
      {"merge_and_rebase", R"({"of": {"method": "task_arithmetic", "scale": 1}, "others": "base"})",
       "as in merge-and-rebase: the sum of coordinates, tensors that are no matrices stay the "
       "base's"}};
  CoordinateMerge steps{"task_arithmetic", 1, CoordinateMerge::Rest::kMean};
  Truncation truncation;
  Smoothing smoothing = Smoothing::kMean;
  double strength = 1;
  Mask mask = Mask::kBlock;

  void parameters(auto&& p) {
    steps.parameters(p);
    truncation.parameters(p);
    p(smoothing, {.name = "smoothing",
                  .choices = {"mean", "linear", "none"},
                  .help = "the kept singular values of a task vector move towards their mean, or "
                          "towards values that fall linearly, of the same sum"});
    p(strength, {.name = "strength",
                 .range = {0, 1},
                 .help = "how far they move: 0 not at all, 1 all the way"});
    p(mask, {.name = "mask",
             .choices = {"block", "none"},
             .help = "whether of the merged coordinates only those stay that pair a task's own "
                     "directions, or all of them"});
  }
  std::optional<std::string> conflict() const { return steps.conflict(); }
  void prepare(const ModelJob& job) { steps.prepare(job, make()); }
  at::Tensor merge(const TensorJob& job) const { return steps.merge(job, make()); }

 private:
  MakeCoordinates make() const {
    return [this](const TensorJob& job) { return coordinates(job); };
  }

  at::Tensor smoothed(const at::Tensor& values) const {
    const int64_t count = values.size(0);
    if (smoothing == Smoothing::kNone || count == 0) return values;
    at::Tensor target = at::ones_like(values);
    if (smoothing == Smoothing::kLinear) target = at::arange(count, 0, -1, values.options());
    return values.lerp(target * (values.sum() / target.sum()), strength);
  }

  Coordinates coordinates(const TensorJob& job) const {
    const size_t n = job.experts.size();
    std::vector<at::Tensor> sides[2], deltas(n), blocks;
    for (std::vector<at::Tensor>& side : sides) side.resize(n);
    for_each_matrix(job, n, [&](size_t i) {
      const at::Tensor delta = delta_matrix(job, i);
      const Svd factors = factorize(delta, {.most = truncation.kept(delta, job)});
      sides[0][i] = factors.u;
      sides[1][i] = factors.v;
      deltas[i] = Svd{factors.u, smoothed(factors.s), factors.v}.product();
    });
    at::Tensor cover[2];
    for_each_matrix(job, 2,
                    [&](size_t side) { cover[side] = polar_factor(at::cat(sides[side], 1)); });

    Coordinates made;
    made.left = cover[0];
    made.right = cover[1];
    const OneThread one;
    for (size_t i = 0; i < n; ++i) {
      made.experts.push_back(cover[0].t().mm(deltas[i]).mm(cover[1]).to(at::kFloat));
      const int64_t own = sides[0][i].size(1);
      blocks.push_back(at::ones({own, own}, deltas[i].options()));
    }
    if (mask == Mask::kBlock) made.mask = at::block_diag(blocks);
    return made;
  }
};

ASSAY_METHOD(DcMerge)

}  // namespace
}  // namespace assay
