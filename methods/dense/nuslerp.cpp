#include <ATen/ATen.h>

#include <algorithm>
#include <any>
#include <array>
#include <cmath>

#include "harness/kernels/one_thread.h"
#include "methods/dense/sphere.h"
#include "methods/dense/sums.h"
#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// NuSLERP: spherical interpolation by weights, of two models or of their task vectors, over whole
/// tensors, rows or columns.
struct NuSlerp {
  enum class Scope { kTensor, kRow, kColumn };

  static constexpr MethodInfo info{
      .name = "nuslerp",
      .paper = "https://github.com/arcee-ai/mergekit (nuslerp)",
      .summary = "spherical interpolation of two experts or their task vectors, by weights",
      .needs = {.min_experts = 2, .max_experts = 2},
      .flops = "9 d"};
  static constexpr Preset presets[] = {
      {"mergekit", R"({"compute": "storage"})",
       "mergekit's nuslerp: norms, angles and sums in the dtype of the tensors"}};
  std::vector<double> weights;
  bool task_vectors = false;
  Scope scope = Scope::kTensor;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(weights, {.name = "weights", .range = {-10, 10}, .help = kWeightsHelp});
    p(task_vectors, {.name = "task_vectors",
                     .help = "interpolate the differences from the base and add it again"});
    p(scope, {.name = "scope",
              .choices = {"tensor", "row", "column"},
              .help = "an angle for each tensor, for each vector of its last dimension (mergekit's "
                      "nuslerp_flatten false), or of its first (nuslerp_row_wise true)"});
    compute_parameter(compute, p);
  }

  Needs needs() const {
    Needs needs = info.needs;
    needs.base = task_vectors;
    return needs;
  }
  Granularity granularity() const {
    return compute == Compute::kStorage || scope != Scope::kTensor ? Granularity::kTensors
                                                                   : Granularity::kParts;
  }
  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  std::any measure(const TensorParts& tensor) const;
  at::Tensor merge(const TensorJob& job, const std::any& measured) const;

 private:
  /// The share of the second expert.
  double t() const {
    constexpr double kLeastSum = 1e-6;
    const std::vector<double> two = expert_weights(weights, 2);
    return std::abs(two[0] + two[1]) < kLeastSum ? 0.5 : two[1] / (two[0] + two[1]);
  }
  at::Tensor whole(const TensorJob& job) const;
  at::Tensor interpolated(const at::Tensor& first, const at::Tensor& second,
                          double least_norm) const;
};

/// Vectors whose angle has a sine of at most this are interpolated linearly.
constexpr double kLeastSine = 1e-8;

/// The coefficients of both.
std::any NuSlerp::measure(const TensorParts& tensor) const {
  constexpr double kLeastNorm = 1e-12;
  DotProducts products(2);
  if (task_vectors)
    tensor.for_each(
        [&](const TensorJob& part) { products.add(dot_products(whole_deltas(part, compute))); });
  else
    products = dot_products_of_experts(tensor);
  const auto norm = [&](int i) { return std::max(std::sqrt(products(i, i)), kLeastNorm); };
  const double cosine = std::clamp(products(0, 1) / (norm(0) * norm(1)), -1.0, 1.0);
  const bool parallel = 1 - cosine * cosine <= kLeastSine * kLeastSine;
  tensor.report("lerp_frac", parallel ? 1 : 0);
  if (parallel) return std::array<double, 2>{1 - t(), t()};
  const double angle = std::acos(cosine), sine = std::sin(angle);
  return std::array<double, 2>{std::sin((1 - t()) * angle) / sine, std::sin(t() * angle) / sine};
}

at::Tensor NuSlerp::merge(const TensorJob& job, const std::any& measured) const {
  if (granularity() == Granularity::kTensors) return whole(job);
  const auto [first, second] = std::any_cast<std::array<double, 2>>(measured);
  if (!task_vectors) return sum_of_experts(job, {first, second});
  at::Tensor out = job.result();
  const std::vector<DeltaTerm> terms{{.weight = static_cast<float>(first)},
                                     {.weight = static_cast<float>(second)}};
  job.report_nonfinite(delta_merge_into(job.base, job.experts, terms, {}, out, job.offset));
  return out;
}

at::Tensor NuSlerp::whole(const TensorJob& job) const {
  const bool stored = compute == Compute::kStorage;
  std::vector<at::Tensor> vectors = job.experts;
  if (task_vectors) vectors = whole_deltas(job, compute);
  const auto sizes = vectors[0].sizes().vec();
  const bool column = scope == Scope::kColumn && sizes.size() > 1;
  for (at::Tensor& vector : vectors) {
    if (scope == Scope::kTensor) vector = vector.flatten();
    if (column) vector = vector.transpose(0, -1);
    if (!stored) vector = vector.to(at::kDouble);
  }
  at::Tensor result = interpolated(vectors[0], vectors[1], stored ? 1e-7 : 1e-12);
  if (column) result = result.transpose(0, -1);
  result = result.reshape(sizes);
  if (!stored) result = result.to(at::kFloat);
  return task_vectors ? in_arithmetic(job.base, compute) + result : result;
}

/// Over the last dimension.
at::Tensor NuSlerp::interpolated(const at::Tensor& first, const at::Tensor& second,
                                 double least_norm) const {
  const OneThread one;
  const auto unit = [&](const at::Tensor& vectors) {
    return vectors / vectors.norm(2, -1, /*keepdim=*/true).clamp_min(least_norm);
  };
  const at::Tensor cosine = (unit(first) * unit(second)).sum(-1, /*keepdim=*/true).clamp(-1, 1);
  const at::Tensor parallel = (1 - cosine.square()) <= kLeastSine * kLeastSine;
  const at::Tensor angle = at::where(parallel, at::zeros_like(cosine), cosine).acos();
  const at::Tensor arc =
      (((1 - t()) * angle).sin() * first + (t() * angle).sin() * second) / angle.sin();
  return at::where(parallel, (1 - t()) * first + t() * second, arc);
}

ASSAY_METHOD(NuSlerp)

}  // namespace
}  // namespace assay
