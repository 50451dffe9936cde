#include <algorithm>
#include <cmath>

#include "harness/kernels/sums/dot_products.h"
#include "methods/dense/sums.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// The geometric median: the point whose distances to the experts have the smallest sum. Single
/// experts far from all others hardly move it. It is a mean with weights that Weiszfeld's iteration
/// finds from inner products alone.
struct GeometricMedian {
  enum class Scope { kTensor, kModel };

  static constexpr MethodInfo info{
      .name = "geometric_median",
      .paper = "arXiv:1912.13445 §3",
      .summary = "the point of smallest summed distance to the experts",
      .flops = "(N^2 + 4 N - 1) d"};
  Scope scope = Scope::kTensor;
  std::vector<double> weights;
  int64_t iterations = 1000;
  double tolerance = 1e-9;

  void parameters(auto&& p) {
    p(scope, {.name = "scope",
              .choices = {"tensor", "model"},
              .help = "whether distances are those of each tensor or of whole models"});
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
    p(iterations, {.name = "iterations",
                   .range = {0, 1000000},
                   .help = "at most, of Weiszfeld's; at 0 it is the weighted mean"});
    p(tolerance, {.name = "tolerance",
                  .range = {0, 1},
                  .help = "stop when no expert's weight changes by more than this"});
  }

  std::optional<std::string> conflict() const { return zero_sum(weights, "a sum above 0"); }
  void prepare(const ModelJob& job) {
    check_weights(weights, job);
    if (scope == Scope::kTensor) return;
    std::vector<DotProducts> products(job.names().size());
    job.for_each([&](size_t k) { products[k] = products_of(job.parts(job.names()[k])); });
    DotProducts sum(static_cast<int>(job.num_experts()));
    for (const DotProducts& tensor : products) sum.add(tensor);
    of_model_ = shares(sum);
  }
  std::vector<double> measure(const TensorParts& tensor) const {
    return scope == Scope::kModel ? of_model_ : shares(products_of(tensor));
  }
  at::Tensor merge(const TensorJob& part, const std::vector<double>& shares) const {
    return sum_of_experts(part, shares);
  }

 private:
  /// Inner products of the experts less the first: those of the experts themselves would lose small
  /// distances to rounding.
  static DotProducts products_of(const TensorParts& tensor) {
    DotProducts sum(static_cast<int>(tensor.num_experts()));
    tensor.for_each([&](const TensorJob& part) {
      const at::Tensor first = part.experts.front().to(at::kFloat);
      std::vector<at::Tensor> differences;
      for (const at::Tensor& expert : part.experts)
        differences.push_back(expert.to(at::kFloat) - first);
      sum.add(dot_products(differences));
    });
    return sum;
  }

  /// The median's weight of each expert; their sum is 1.
  std::vector<double> shares(const DotProducts& products) const {
    const int n = products.size();
    std::vector<double> given = normalized_weights(weights, static_cast<size_t>(n));
    double farthest = 0;
    for (int i = 0; i < n; ++i) farthest = std::max(farthest, products(i, i));
    if (farthest == 0) return given;  // all are one point
    // Where the median is an expert, its distance must not be divided by 0.
    const double nearest = 1e-12 * std::sqrt(farthest);

    std::vector<double> found = given;
    for (int64_t iteration = 0; iteration < iterations; ++iteration) {
      std::vector<double> to_median(found.size());  // inner products with it
      double square = 0;
      for (int i = 0; i < n; ++i) {
        for (int j = 0; j < n; ++j) to_median[i] += products(i, j) * found[j];
        square += found[i] * to_median[i];
      }
      std::vector<double> next(found.size());
      for (int i = 0; i < n; ++i) {
        const double distance =
            std::sqrt(std::max(0.0, products(i, i) - 2 * to_median[i] + square));
        next[i] = given[i] / std::max(distance, nearest);
      }
      next = normalized_weights(next, next.size());
      double change = 0;
      for (int i = 0; i < n; ++i) change = std::max(change, std::abs(next[i] - found[i]));
      found = std::move(next);
      if (change <= tolerance) break;
    }
    return found;
  }

  std::vector<double> of_model_;
};

ASSAY_METHOD(GeometricMedian)

}  // namespace
}  // namespace assay
