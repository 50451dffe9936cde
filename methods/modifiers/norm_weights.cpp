#include <ATen/ATen.h>

#include <cmath>

#include "harness/kernels/sums/dot_products.h"
#include "harness/method/modifier.h"
#include "methods/dense/whole_deltas.h"
#include "methods/modifiers/changed_experts.h"

namespace assay {
namespace {

/// Weighs task vectors by their L2 norms over the whole model; the weights sum to 1.
struct NormWeights {
  enum class Rule { kSquare, kInverse };

  static constexpr MethodInfo info{
      .name = "norm_weights",
      .version = 2,
      .paper = "arXiv:2406.11385 §3, arXiv:2505.16148 §3",
      .summary = "weighs task vectors by their norms, for another method to merge",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 1}})",
      .flops = "(9 N + 1) d with Task Arithmetic"};
  static constexpr Preset presets[] = {
      {"metagpt", R"({"rule": "square", "of": {"method": "task_arithmetic", "scale": 1}})",
       "MetaGPT, arXiv:2406.11385: weights proportional to the squared norms"},
      {"nan", R"({"rule": "inverse", "of": {"method": "task_arithmetic", "scale": 1}})",
       "NAN, arXiv:2505.16148: weights proportional to the inverse norms"}};
  Rule rule = Rule::kSquare;

  void parameters(auto&& p) {
    p(rule, {.name = "rule",
             .choices = {"square", "inverse"},
             .help = "weights are proportional to the squared norms, or to the inverse norms"});
  }
  void prepare(const ModelJob& job) {
    const std::vector<std::string>& names = job.names();
    std::vector<std::vector<double>> of_tensors(names.size());
    job.for_each([&](size_t k) {
      std::vector<double>& sums = of_tensors[k];
      sums.resize(job.num_experts());
      job.parts(names[k]).for_each([&](const TensorJob& part) {
        const std::vector<at::Tensor> deltas = whole_deltas(part, Compute::kFloat32);
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += dot_products({deltas[i]})(0, 0);
      });
    });
    std::vector<double> squares(job.num_experts());
    for (const std::vector<double>& of_tensor : of_tensors)
      for (size_t i = 0; i < squares.size(); ++i) squares[i] += of_tensor[i];
    double sum = 0;
    weights_.clear();
    // An expert that is the base adds nothing under any weight.
    for (const double square : squares) {
      const double inverse = square > 0 ? 1 / std::sqrt(square) : 0;
      sum += weights_.emplace_back(rule == Rule::kSquare ? square : inverse);
    }
    if (sum > 0)
      for (double& weight : weights_) weight /= sum;
  }
  std::vector<at::Tensor> experts(const TensorJob& part) const {
    return scaled_experts(part, weights_);
  }

 private:
  std::vector<double> weights_;  ///< of each expert
};

ASSAY_MODIFIER(NormWeights)

}  // namespace
}  // namespace assay
