#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/kernels/one_thread.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// Iso-CTS: the leading directions of the summed task vectors, completed by directions of single
/// tasks, all with the same singular value.
struct IsoCts {
  static constexpr MethodInfo info{
      .name = "iso_cts",
      .paper = "arXiv:2502.04959 §4.2",
      .summary = "common and task-specific directions with equal singular values",
      .needs = {.base = true},
      .identity = "",  // the singular values of an expert's
      .flops = "N (5 m n^2 + 9 n^3) + 12 m n^2 + 33 n^3"};
  // own task vector are not equal
  static constexpr Preset presets[] = {
      {"merge_and_rebase", R"({"others": "base"})",
       "as in merge-and-rebase: tensors that are no matrices stay the base's; it rounds "
       "the number of directions per task down, here it is rounded to the nearest"}};
  double scale = 1;
  double common = 0.8;
  MatrixRule matrices;
  Others others = Others::kMean;

  void parameters(auto&& p) {
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6},
              .help = "multiplier of the merged task vector, of every tensor; the paper's are 1.5, "
                      "1.2 and 1.1 for 8, 14 and 20 tasks of ViT-B/32"});
    p(common, {.name = "common",
               .range = {0, 1},
               .help = "share of the directions that come from the sum of the task vectors; the "
                       "tasks share the rest equally"});
    matrices.parameters(p);
    others_parameter(others, p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (!matrices.applies(job)) return merge_other(job, others, scale);
    const size_t tasks = job.experts.size();
    const std::vector<at::Tensor> deltas = delta_matrices(job);
    at::Tensor sum = deltas[0].clone();
    for (size_t i = 1; i < tasks; ++i) sum += deltas[i];
    const int64_t rank = std::min(sum.size(0), sum.size(1));
    const int64_t each = directions_per_task(rank, static_cast<int64_t>(tasks));
    const Svd shared = factorize(sum, {.most = rank - each * static_cast<int64_t>(tasks)});

    std::vector<Svd> parts(tasks);
    for_each_matrix(job, each == 0 ? 0 : tasks, [&](size_t i) {
      parts[i] = factorize(deltas[i] - shared.u.mm(shared.u.t().mm(deltas[i])), {.most = each});
    });
    if (each == 0) parts.clear();
    parts.push_back(shared);

    std::vector<at::Tensor> sides[2];
    double values = 0;
    const OneThread one;
    for (const Svd& part : parts) {
      sides[0].push_back(part.u);
      sides[1].push_back(part.v);
      values += part.s.sum().item<double>();
    }
    at::Tensor orthogonal[2];
    for_each_matrix(job, 2, [&](size_t i) { orthogonal[i] = polar_factor(at::cat(sides[i], 1)); });
    return add_matrix(job, orthogonal[0].mm(orthogonal[1].t()),
                      scale * values / static_cast<double>(rank));
  }

 private:
  /// As the authors round, halves to even; but never more than there are.
  int64_t directions_per_task(int64_t rank, int64_t tasks) const {
    const auto left = rank - static_cast<int64_t>(common * static_cast<double>(rank));
    const double rounded = std::nearbyint(static_cast<double>(left) / static_cast<double>(tasks));
    return std::min(static_cast<int64_t>(rounded), rank / tasks);
  }
};

ASSAY_METHOD(IsoCts)

}  // namespace
}  // namespace assay
