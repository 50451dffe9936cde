#include <ATen/ATen.h>

#include <vector>

#include "harness/kernels/one_thread.h"
#include "methods/inner_merge.h"
#include "methods/spectral/spectral_wrapper.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// The orthogonal matrix R for which |base R - target| is least. Where the product leaves
/// directions open, as it does of fewer outputs than inputs, those are turned least; published code
/// takes what an SVD returns.
at::Tensor nearest_rotation(const at::Tensor& base, const at::Tensor& target) {
  const auto [u, s, vt] = at::linalg_svd(base.t().mm(target), /*full_matrices=*/true);
  const int64_t size = s.size(0);
  constexpr double kRounding = 1e-12;
  const int64_t known = size == 0 ? 0 : at::gt(s, kRounding * s[0]).sum().item<int64_t>();
  at::Tensor rotation = u.narrow(1, 0, known).mm(vt.narrow(0, 0, known));
  if (known == size) return rotation;
  const at::Tensor left = u.narrow(1, known, size - known);
  const at::Tensor right = vt.narrow(0, known, size - known);
  const auto [ru, rs, rvt] = at::linalg_svd(left.t().mm(right.t()), /*full_matrices=*/true);
  return rotation + left.mm(ru.mm(rvt)).mm(right);
}

/// OrthoMerge: each expert's weight is the base's, rotated, and a rest. Rotations are merged among
/// rotations, as skew-symmetric matrices by Cayley's transform; the rests by another method.
struct OrthoMerge : SpectralWrapper {
  enum class Rows { kAll, kConflicting };

  static constexpr MethodInfo info{
      .name = "ortho_merge",
      .paper = "arXiv:2602.05943 §4",
      .summary = "rotations of the base merged among rotations, the rest by another method",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}})",
      .flops = "about N (30 n^3 + 4 m n^2) for n inputs and m outputs, and what 'of' takes"};
  static constexpr Preset presets[] = {
      {"conflicts", R"({"rows": "conflicting"})",
       "the authors' variant C: rotations follow the rows in which experts are in conflict alone"}};
  Rows rows = Rows::kAll;

  OrthoMerge() : SpectralWrapper(MatrixRule{kEmbeddings}) {}

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method that merges what rotations leave"});
    p(rows, {.name = "rows",
             .choices = {"all", "conflicting"},
             .help = "which rows of a task vector the rotation follows: all, or those whose cosine "
                     "with the experts' mean is below 0"});
    matrices.parameters(p);
  }

  at::Tensor merge(const TensorJob& job) const {
    if (!matrices.applies(job)) return inner(job);
    const size_t n = job.experts.size();
    const at::Tensor base = job.base.to(at::kDouble).flatten(1);
    const std::vector<at::Tensor> targets = rotation_targets(job, base);
    std::vector<at::Tensor> skew(n), rests(n);
    for_each_matrix(job, n, [&](size_t i) {
      skew[i] = skew_of(nearest_rotation(base, targets[i]));
      rests[i] = job.experts[i].to(at::kDouble).flatten(1) - base.mm(rotation_of(skew[i]));
    });
    const OneThread one;
    const at::Tensor rotated = base.mm(rotation_of(merged_skew(skew)));
    for (at::Tensor& rest : rests) rest = (rotated + rest).to(at::kFloat).reshape(job.base.sizes());
    return merge_inner(*of, job, rotated.to(at::kFloat).reshape(job.base.sizes()), rests);
  }

 private:
  std::vector<at::Tensor> rotation_targets(const TensorJob& job, const at::Tensor& base) const {
    const OneThread one;
    std::vector<at::Tensor> deltas = delta_matrices(job);
    if (rows == Rows::kConflicting) {
      at::Tensor sum = at::zeros_like(base);
      for (const at::Tensor& delta : deltas) sum += delta;
      for (at::Tensor& delta : deltas)
        delta = delta * at::lt((delta * sum).sum(1, /*keepdim=*/true), 0);
    }
    for (at::Tensor& delta : deltas) delta = base + delta;
    return deltas;
  }

  /// Cayley's transform of a rotation, (R + I)^-1 (R - I). Of half turns, which have none, the
  /// pseudoinverse leaves them out.
  static at::Tensor skew_of(const at::Tensor& rotation) {
    const at::Tensor unit = at::eye(rotation.size(0), rotation.options());
    const at::Tensor skew = at::linalg_pinv(rotation + unit, 1e-9).mm(rotation - unit);
    return (skew - skew.t()) / 2;
  }
  static at::Tensor rotation_of(const at::Tensor& skew) {
    const at::Tensor unit = at::eye(skew.size(0), skew.options());
    return at::linalg_solve(unit - skew, unit + skew);
  }
  /// Along the sum, as large as they are in the mean. Nothing where they cancel out but for the
  /// rounding of float32 weights, whose direction means nothing; the authors' bound is 1e-8.
  static at::Tensor merged_skew(const std::vector<at::Tensor>& all) {
    at::Tensor sum = at::zeros_like(all.front());
    double norms = 0;
    for (const at::Tensor& one : all) {
      sum += one;
      norms += one.norm().item<double>();
    }
    const double norm = sum.norm().item<double>();
    constexpr double kRounding = 1e-6;
    return norm <= kRounding * norms ? at::zeros_like(sum)
                                     : sum * (norms / static_cast<double>(all.size()) / norm);
  }
};

ASSAY_METHOD(OrthoMerge)

}  // namespace
}  // namespace assay
