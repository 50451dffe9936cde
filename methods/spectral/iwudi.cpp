#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "methods/spectral/matrices.h"

namespace assay {
namespace {

/// IWUDI: how far gradient descent takes the sum of the task vectors towards one whose difference
/// from each task vector is orthogonal to that one's rows, in closed form. The loss is
/// sum_i |(m - d_i) d_i^T|^2 / |d_i|^2; with C = sum_i d_i^T d_i / |d_i|^2 = V diag(l) V^T and
/// R = sum_i d_i d_i^T d_i / |d_i|^2, the flow from m_0 is m_0 + (R - m_0 C) V diag(f(l) / l) V^T.
struct Iwudi {
  enum class Filter { kFlow, kTikhonov, kLandweber };
  enum class Cut { kNone, kShare, kParticipation };

  static constexpr MethodInfo info{
      .name = "iwudi",
      .paper = "arXiv:2606.07289 §4",
      .summary = "the sum of the task vectors with their interference filtered out in closed form",
      .needs = {.base = true},
      .identity = R"({"time": 1e12})",
      .flops = "(4 N + 6) m n^2 + 9 n^3"};
  static constexpr Preset presets[] = {
      {"swudi", R"({"time": 1300, "cut": "share", "share": 0.65})",
       "SWUDI: only the leading directions are filtered"},
      {"aswudi", R"({"filter": "tikhonov", "ridge": 0, "cut": "participation"})",
       "ASWUDI: directions by the participation ratio of their sizes, solved exactly"}};
  Filter filter = Filter::kFlow;
  double time = 300;
  double ridge = 1e-2;
  int64_t iterations = 150;
  double rate = 0.9;
  Cut cut = Cut::kNone;
  double share = 1;
  double scale = 1;
  MatrixRule matrices{kEmbeddings};
  Others others = Others::kMean;

  void parameters(auto&& p) {
    p(filter, {.name = "filter",
               .choices = {"flow", "tikhonov", "landweber"},
               .help = "how much of the solution a direction of weight l gets: 1 - exp(-l time), "
                       "l / (l + ridge), or 1 - (1 - l rate / largest l)^iterations"});
    p(time, {.name = "time",
             .range = {0, 1e15},
             .sweep = {30, 100, 300, 1300},
             .help = "of the flow: 0 is the sum of the task vectors, the limit WUDI's solution"});
    p(ridge, {.name = "ridge", .range = {0, 1e3}, .help = "of the filter 'tikhonov'"});
    p(iterations,
      {.name = "iterations", .range = {0, 1000000}, .help = "of the filter 'landweber'"});
    p(rate, {.name = "rate", .range = {0, 2}, .help = "of the filter 'landweber'"});
    p(cut, {.name = "cut",
            .choices = {"none", "share", "participation"},
            .help = "which directions are filtered, while the others stay as in the sum: all, a "
                    "share of the leading ones, or as many as the participation ratio of the "
                    "roots of their weights says"});
    p(share, {.name = "share", .range = {0, 1}, .help = "of the directions, with the cut 'share'"});
    p(scale, {.name = "scale", .range = {0, 5}, .help = "multiplier of the merged task vector"});
    matrices.parameters(p);
    others_parameter(others, p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (!matrices.applies(job)) return merge_other(job, others, scale);
    const OneThread one;
    at::Tensor sum, weights, right;
    for (size_t i = 0; i < job.experts.size(); ++i) {
      const at::Tensor delta = delta_matrix(job, i);
      const double square = delta.square().sum().item<double>();
      if (square == 0) continue;
      const at::Tensor gram = delta.t().mm(delta) / square;
      const at::Tensor product = delta.mm(gram);
      sum = sum.defined() ? sum.add_(delta) : delta;
      weights = weights.defined() ? weights.add_(gram) : gram;
      right = right.defined() ? right.add_(product) : product;
    }
    if (!sum.defined()) return job.base;
    const auto [values, vectors] = at::linalg_eigh(weights);  // ascending
    const at::Tensor gains = this->gains(values.clamp_min(kLeastWeight));
    const at::Tensor change = (right - sum.mm(weights)).mm(vectors) * gains;
    return add_matrix(job, sum + change.mm(vectors.t()), scale);
  }

 private:
  static constexpr double kLeastWeight = 1e-8;  // the authors' bound; the weights' sum is N

  /// f(l) / l of every direction, in ascending order of l; 0 of those that stay as they are.
  at::Tensor gains(const at::Tensor& l) const {
    at::Tensor f;
    if (filter == Filter::kFlow) f = -at::expm1(l * -time);
    if (filter == Filter::kTikhonov) f = l / (l + ridge);
    if (filter == Filter::kLandweber)
      f = 1 - at::pow(1 - l * (rate / l[-1].item<double>()), static_cast<double>(iterations));
    at::Tensor gains = f / l;
    const int64_t count = l.size(0), kept = std::clamp<int64_t>(filtered(l), 0, count);
    gains.narrow(0, 0, count - kept).zero_();
    return gains;
  }
  int64_t filtered(const at::Tensor& l) const {
    const auto count = static_cast<double>(l.size(0));
    if (cut == Cut::kNone) return l.size(0);
    if (cut == Cut::kShare) return std::max<int64_t>(1, std::llround(std::ceil(share * count)));
    const double roots = l.sqrt().sum().item<double>();
    return static_cast<int64_t>(std::ceil(roots * roots / l.sum().item<double>()));
  }
};

ASSAY_METHOD(Iwudi)

}  // namespace
}  // namespace assay
