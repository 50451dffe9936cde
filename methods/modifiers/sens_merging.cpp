#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/kernels/one_thread.h"
#include "harness/method/modifier.h"
#include "methods/dense/weights.h"
#include "methods/layer_key.h"
#include "methods/modifiers/changed_experts.h"

namespace assay {
namespace {

/// Sens-Merging: multiplies each expert's task vector, layer by layer, before another method merges
/// them. A factor is large where the expert's loss on its own data is sensitive to the layer, and
/// where its predictions on the others' data differ from theirs. The factors of a layer have the
/// mean 1.
struct SensMerging {
  enum class Tau { kDistance, kInverseDistance };

  static constexpr MethodInfo info{
      .name = "sens_merging",
      .paper = "arXiv:2502.12420 §3",
      .summary = "scales task vectors by the sensitivity of layers, for another method to merge",
      .needs = {.base = true,
                .min_experts = 2,
                .calibration_inputs = true,
                .calibration_labels = true,
                .gradients = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}})",
      .flops = "3 N d, and what 'of' takes"};
  Tau tau = Tau::kDistance;
  double temperature = 1;
  int64_t batch = 16;

  void parameters(auto&& p) {
    p(tau, {.name = "tau",
            .choices = {"distance", "inverse_distance"},
            .help = "whether an expert counts more, or less, the further its predictions on the "
                    "others' data are from theirs; the paper's text rewards agreement, the "
                    "known implementation distance"});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .sweep = {0.1, 0.3, 1},
                    .help = "of the softmax over experts: the lower, the more factors differ"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
  }

  std::vector<StatisticRef> statistics() const { return {{"layer_sensitivity"}}; }
  void prepare(const ModelJob& job);
  std::vector<at::Tensor> experts(const TensorJob& part) const {
    return scaled_experts(part, factors_.at(part.name));
  }

 private:
  /// One per expert; their sum is 1.
  std::vector<double> taus(const ModelJob& job) const;

  std::map<std::string, std::vector<double>> factors_;  ///< by tensor, of each expert
};

/// The share of each layer in an expert's sensitivity, in the L2 norm over layers.
std::map<std::string, double> layer_shares(const ModelJob& job, const TensorSource& sensitivity) {
  std::map<std::string, double> shares;
  for (const std::string& name : job.names()) {
    double& share = shares[layer_key(job.evidence(), name)];
    if (sensitivity.find(name)) share += sensitivity.read(name).item<double>();
  }
  double squares = 0;
  for (const auto& [unused, share] : shares) squares += share * share;
  for (auto& [unused, share] : shares)
    share = squares > 0 ? share / std::sqrt(squares) : 1 / static_cast<double>(shares.size());
  return shares;
}

/// The distances between two models' scores, summed over rows.
double distance_sum(const at::Tensor& scores, const at::Tensor& others) {
  return (scores.to(at::kDouble) - others.to(at::kDouble)).norm(2, 1).sum().item<double>();
}

std::vector<double> SensMerging::taus(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const Network& network = job.evidence().network();
  const size_t experts = job.num_experts();
  std::vector<StateDict> models(experts);
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    for (size_t i = 0; i < experts; ++i) models[i][name] = tensor.experts[i].to(at::kFloat);
  }

  std::vector<double> values(experts);
  for (size_t j = 0; j < experts; ++j) {
    std::vector<double> distances(experts);
    int64_t rows = 0;
    for (int64_t first = 0; first < network.examples(j); first += batch) {
      const int64_t count = std::min(batch, network.examples(j) - first);
      const at::Tensor own = network.logits(models[j], j, first, count);
      rows += own.size(0);
      for (size_t i = 0; i < experts; ++i)
        if (i != j) distances[i] += distance_sum(network.logits(models[i], j, first, count), own);
    }
    for (size_t i = 0; i < experts; ++i) values[i] += distances[i] / static_cast<double>(rows);
  }

  const double most = *std::max_element(values.begin(), values.end());
  if (most == 0) return std::vector<double>(experts, 1 / static_cast<double>(experts));
  if (tau == Tau::kInverseDistance)
    for (double& value : values) value = 1 / std::max(value, most * 1e-6);
  return normalized_weights(values, experts);
}

void SensMerging::prepare(const ModelJob& job) {
  const size_t experts = job.num_experts();
  const std::vector<double> of_experts = taus(job);
  std::vector<std::map<std::string, double>> shares;
  for (size_t i = 0; i < experts; ++i)
    shares.push_back(layer_shares(job, *job.evidence().statistic({"layer_sensitivity"}, i)));

  factors_.clear();
  double least = 1, most = 1;
  for (const std::string& name : job.names()) {
    const std::string layer = layer_key(job.evidence(), name);
    std::vector<double>& factors = factors_[name];
    for (size_t i = 0; i < experts; ++i)
      factors.push_back(of_experts[i] * shares[i].at(layer) / temperature);
    const double highest = *std::max_element(factors.begin(), factors.end());
    double sum = 0;
    for (double& factor : factors) sum += factor = std::exp(factor - highest);
    for (double& factor : factors) factor = static_cast<double>(experts) * factor / sum;
    const auto [low, high] = std::minmax_element(factors.begin(), factors.end());
    least = std::min(least, *low);
    most = std::max(most, *high);
  }
  if (!job.names().empty()) {
    const TensorParts reports = job.parts(job.names().front());
    reports.report("factor_min", least);
    reports.report("factor_max", most);
  }
}

ASSAY_MODIFIER(SensMerging)

}  // namespace
}  // namespace assay
