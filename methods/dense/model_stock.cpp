#include <ATen/ATen.h>

#include <algorithm>
#include <any>
#include <cmath>
#include <functional>

#include "harness/kernels/one_thread.h"
#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "methods/dense/whole_deltas.h"

namespace assay {
namespace {

/// Model Stock: a point between the base and the mean of the experts, the nearer to the base the
/// wider the angle between their task vectors.
struct ModelStock {
  enum class Angle { kMeanCosine, kMeanAngle };
  enum class Scope { kTensor, kRow };

  static constexpr MethodInfo info{
      .name = "model_stock",
      .paper = "arXiv:2403.19522 §4",
      .summary = "between the base and the experts' mean, by the angle of their task vectors",
      .needs = {.base = true, .min_experts = 2},
      .flops = "(N^2 + 4 N + 1) d"};
  static constexpr Preset presets[] = {
      {"fusionbench", R"({"angle": "mean_angle"})", "FusionBench's: the mean of the angles"},
      {"mergekit", R"({"compute": "storage"})",
       "mergekit's model_stock: products of norms below 1e-6, as those of many norms and biases "
       "are, count as 1e-6, which pulls the result to the base"}};
  Angle angle = Angle::kMeanCosine;
  Scope scope = Scope::kTensor;
  bool clamp = false;
  Compute compute = Compute::kFloat32;

  void parameters(auto&& p) {
    p(angle, {.name = "angle",
              .choices = {"mean_cosine", "mean_angle"},
              .help = "of more than two experts, the mean is of the pairs' cosines (mergekit) or "
                      "of their angles (FusionBench)"});
    p(scope, {.name = "scope",
              .choices = {"tensor", "row"},
              .help = "an angle for each tensor, or for each row of it, also of a convolution all "
                      "that an output sums up (mergekit's filter_wise, which with compute "
                      "'storage' has rows along the last dimension)"});
    p(clamp, {.name = "clamp",
              .help = "keep the result between the base and the mean; without, obtuse angles lead "
                      "away from the experts"});
    compute_parameter(compute, p);
  }

  Granularity granularity() const {
    return compute == Compute::kStorage || scope == Scope::kRow ? Granularity::kTensors
                                                                : Granularity::kParts;
  }
  std::any measure(const TensorParts& tensor) const;
  at::Tensor merge(const TensorJob& job, const std::any& measured) const;

 private:
  double share(double cosine, double experts) const;
  double mean_cosine(const DotProducts& products) const;
  at::Tensor by_rows(const TensorJob& job) const;
  at::Tensor stored(const TensorJob& job) const;
};

/// mergekit stays at the base where experts cancel: there is no finite share.
constexpr double kSingular = 1e-6;

/// How far from the base to the mean the result is.
double ModelStock::share(double cosine, double experts) const {
  const double divisor = 1 + (experts - 1) * cosine;
  const double t = std::abs(divisor) < kSingular ? 0 : experts * cosine / divisor;
  return clamp ? std::clamp(t, 0.0, 1.0) : t;
}

/// Over the pairs of task vectors with these inner products.
double ModelStock::mean_cosine(const DotProducts& products) const {
  constexpr double kLeastNorm = 1e-12;
  const auto norm = [&](int i) { return std::max(std::sqrt(products(i, i)), kLeastNorm); };
  double sum = 0;
  int pairs = 0;
  for (int i = 0; i < products.size(); ++i)
    for (int j = i + 1; j < products.size(); ++j, ++pairs) {
      const double cosine = std::clamp(products(i, j) / (norm(i) * norm(j)), -1.0, 1.0);
      sum += angle == Angle::kMeanAngle ? std::acos(cosine) : cosine;
    }
  return angle == Angle::kMeanAngle ? std::cos(sum / pairs) : sum / pairs;
}

std::any ModelStock::measure(const TensorParts& tensor) const {
  DotProducts products(static_cast<int>(tensor.num_experts()));
  tensor.for_each(
      [&](const TensorJob& part) { products.add(dot_products(whole_deltas(part, compute))); });
  const double t = share(mean_cosine(products), products.size());
  tensor.report("t", t);
  tensor.report("extrapolated_frac", t < 0 || t > 1 ? 1 : 0);
  return t;
}

at::Tensor ModelStock::merge(const TensorJob& job, const std::any& measured) const {
  if (compute == Compute::kStorage) return stored(job);
  if (scope == Scope::kRow) return by_rows(job);
  const auto t = std::any_cast<double>(measured);
  std::vector<at::Tensor> models{job.base};
  models.insert(models.end(), job.experts.begin(), job.experts.end());
  std::vector<double> weights(models.size(), t / static_cast<double>(job.experts.size()));
  weights.front() = 1 - t;
  at::Tensor out = job.result();
  weighted_sum_into(models, weights, out);
  return out;
}

/// An angle for each row, in float64.
at::Tensor ModelStock::by_rows(const TensorJob& job) const {
  const at::Tensor base = as_rows(job.base.to(at::kFloat));
  std::vector<at::Tensor> deltas;
  for (const at::Tensor& delta : whole_deltas(job, compute)) deltas.push_back(as_rows(delta));
  const int64_t rows = base.size(0);
  const auto n = static_cast<int>(deltas.size());
  std::vector<DotProducts> products(static_cast<size_t>(rows), DotProducts(n));
  for (int i = 0; i < n; ++i)
    for (int j = i; j < n; ++j) {
      const OneThread one;
      const at::Tensor sums = (deltas[static_cast<size_t>(i)].to(at::kDouble) *
                               deltas[static_cast<size_t>(j)].to(at::kDouble))
                                  .sum(1)
                                  .cpu();
      for (int64_t row = 0; row < rows; ++row)
        products[static_cast<size_t>(row)].add(i, j, sums.const_data_ptr<double>()[row]);
    }
  at::Tensor shares = at::empty({rows, 1}, at::kFloat);
  int64_t extrapolated = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const double t = share(mean_cosine(products[static_cast<size_t>(row)]), n);
    extrapolated += t < 0 || t > 1 ? 1 : 0;
    shares.mutable_data_ptr<float>()[row] = static_cast<float>(t);
  }
  job.report("extrapolated_frac",
             rows > 0 ? static_cast<double>(extrapolated) / static_cast<double>(rows) : 0);
  const at::Tensor mean = sum_in_order(deltas) / n;
  return (base + shares.to(base.device()) * mean).reshape(job.base.sizes());
}

/// In the tensors' dtype, with mergekit's least product of norms.
at::Tensor ModelStock::stored(const TensorJob& job) const {
  constexpr double kLeastProduct = 1e-6;
  const OneThread one;
  // A row is one of the last dimension here.
  const auto shaped = [&](const at::Tensor& tensor) {
    return scope == Scope::kTensor || tensor.dim() < 2 ? tensor.reshape({1, -1}) : tensor;
  };
  const at::Tensor base = shaped(job.base);
  std::vector<at::Tensor> experts, deltas, norms, cosines;
  for (const at::Tensor& expert : job.experts) {
    experts.push_back(shaped(expert));
    deltas.push_back(experts.back() - base);
    norms.push_back(deltas.back().norm(2, -1));
  }
  for (size_t i = 0; i < deltas.size(); ++i)
    for (size_t j = i + 1; j < deltas.size(); ++j) {
      const at::Tensor least = (norms[i] * norms[j]).clamp_min(kLeastProduct);
      const at::Tensor cosine = ((deltas[i] * deltas[j]).sum(-1) / least).clamp(-1, 1);
      cosines.push_back(angle == Angle::kMeanAngle ? cosine.acos() : cosine);
    }
  at::Tensor cosine = at::stack(cosines).mean(0).unsqueeze(-1);
  if (angle == Angle::kMeanAngle) cosine = cosine.cos();
  const auto n = static_cast<double>(experts.size());
  const at::Tensor divisor = 1 + (n - 1) * cosine, singular = divisor.abs() < kSingular;
  at::Tensor t = at::where(singular, at::zeros_like(divisor), n * cosine / divisor);
  if (clamp) t = t.clamp(0, 1);
  at::Tensor mean = experts.front();
  for (size_t i = 1; i < experts.size(); ++i) mean = mean + experts[i];
  return (t * (mean / n) + (1 - t) * base).reshape(job.base.sizes());
}

ASSAY_METHOD(ModelStock)

}  // namespace
}  // namespace assay
