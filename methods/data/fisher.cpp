#include <ATen/ATen.h>

#include <cmath>

#include "harness/kernels/sums/dot_products.h"
#include "methods/data/fisher_statistic.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// Fisher merging: a mean of the experts, each element weighed by how much the expert's outputs on
/// its own data depend on it: the diagonal of its Fisher information.
struct FisherMerging {
  enum class Floor { kMax, kAdd, kTarget, kOne };
  enum class When { kAfter, kBefore };
  enum class Over { kModel, kTensor };
  /// Of each expert, for one tensor.
  struct Measured {
    std::vector<FisherStatistic::Source> statistics;
    std::vector<double> factors;  ///< what multiplies the Fisher information
  };

  static constexpr MethodInfo info{
      .name = "fisher",
      .paper = "arXiv:2111.09832 §3",
      .summary = "mean of the experts weighed by the diagonals of their Fisher information",
      .needs = {.calibration_inputs = true, .gradients = true},
      .flops = "(8 N - 1) d"};
  static constexpr Preset presets[] = {
      {"mergelm", R"({"estimator": "mergelm", "floor.rule": "add", "normalize": false})",
       "MergeLM's code: the squared gradient of a sum over classes, which is no Fisher "
       "information, plus 1e-6"},
      {"fusionbench", R"({"estimator": "mergelm", "floor.rule": "add", "floor.when": "before"})",
       "MergeLM's code with its scaling of models, the default of FusionBench"},
      {"mats", R"({"estimator": "empirical", "floor": 1e-8, "normalize": false})",
       "as in MaTS and Realistic Evaluation: the true labels' gradients, a floor of 1e-8"},
      {"git_theta", R"({"estimator": "empirical", "floor.rule": "one", "normalize": false})",
       "the merges of git-theta, where an element without Fisher information becomes 0"},
      {"bloomberg",
       R"({"estimator": "argmax", "floor.rule": "add", "floor": 1e-10, "normalize": false})",
       "Bloomberg's code: the gradients of the most probable labels, plus 1e-10"},
      {"original", R"({"floor.rule": "target", "floor.when": "before"})",
       "the code of the paper: without any Fisher information the first expert counts alone"}};
  FisherStatistic fisher;
  bool normalize = true;
  Over over = Over::kModel;
  Floor floor_rule = Floor::kMax;
  double floor = 1e-6;
  When floor_when = When::kAfter;
  std::vector<double> weights;

  void parameters(auto&& p) {
    fisher.parameters(p);
    p(normalize, {.name = "normalize",
                  .help = "divide each expert's Fisher information by its norm, so that no expert "
                          "counts more because its gradients are large"});
    p(over, {.name = "normalize.over",
             .choices = {"model", "tensor"},
             .help = "whether that is the norm over the model, or over each tensor"});
    p(floor_rule,
      {.name = "floor.rule",
       .choices = {"max", "add", "target", "one"},
       .help = "max: Fisher information below the floor is raised to it; add: the "
               "floor is added to all, and elements without any become the mean, weighed by "
               "the norms where floor.when is before; "
               "target: raised in the first expert alone; one: a divisor of 0 becomes "
               "1, which sets elements without Fisher information to 0, as git-theta "
               "does"});
    p(floor, {.name = "floor", .range = {1e-30, 1}, .help = "the least Fisher information"});
    p(floor_when, {.name = "floor.when",
                   .choices = {"after", "before"},
                   .help = "whether the floor is that of Fisher information after it is "
                           "normalized, or before; before, 'add' adds it to the norms as well"});
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
  }

  Needs needs() const { return fisher.needs(info.needs); }
  std::vector<StatisticRef> statistics() const { return {fisher.ref()}; }
  std::optional<std::string> conflict() const {
    if (floor_rule == Floor::kTarget && !weights.empty() && weights.front() == 0)
      return "parameter 'floor.rule' is target, and the first of 'weights', which is the "
             "target's, is 0: expected a weight above 0";
    return zero_sum(weights, "a sum above 0");
  }
  void prepare(const ModelJob& job);
  Measured measure(const TensorParts& tensor) const;
  at::Tensor merge(const TensorJob& part, const Measured& measured) const;

 private:
  /// What divides by a norm, given its square.
  double factor(double squares) const;

  std::vector<double> factors_;  ///< of each expert, over its model
};

/// The sum of the squares of a tensor's values; 0 where there is no such tensor.
double sum_of_squares(const TensorSource& source, const std::string& name) {
  double squares = 0;
  const TensorInfo* found = source.find(name);
  for (int64_t first = 0; found && first < found->numel(); first += kPartElements) {
    const int64_t count = std::min(kPartElements, found->numel() - first);
    squares += dot_products({source.read_part(name, first, count)})(0, 0);
  }
  return squares;
}

double FisherMerging::factor(double squares) const {
  double norm = std::sqrt(squares);
  if (floor_when == When::kBefore && floor_rule == Floor::kAdd) norm += floor;
  return norm > 0 ? 1 / norm : 1;
}

void FisherMerging::prepare(const ModelJob& job) {
  check_weights(weights, job);
  factors_.assign(job.num_experts(), 1);
  if (!normalize || over == Over::kTensor) return;
  const auto fishers = fisher.open(job.evidence(), job.num_experts());
  for (size_t i = 0; i < fishers.size(); ++i) {
    double squares = 0;
    for (const std::string& name : job.names()) squares += sum_of_squares(*fishers[i], name);
    factors_[i] = factor(squares);
  }
}

FisherMerging::Measured FisherMerging::measure(const TensorParts& tensor) const {
  Measured measured{fisher.open(tensor), factors_};
  if (normalize && over == Over::kTensor)
    for (size_t i = 0; i < measured.factors.size(); ++i)
      if (const auto& source = measured.statistics[i])
        measured.factors[i] = factor(sum_of_squares(*source, tensor.name()));
  return measured;
}

at::Tensor FisherMerging::merge(const TensorJob& part, const Measured& measured) const {
  const std::vector<double> lambdas = expert_weights(weights, part.experts.size());
  at::Tensor sum, divisor;
  for (size_t i = 0; i < part.experts.size(); ++i) {
    const at::Tensor expert = part.experts[i].to(at::kDouble);
    at::Tensor information = read_fisher(measured.statistics[i], part);
    const auto keep_above_floor = [&] {
      if (floor_rule == Floor::kAdd) information.add_(floor);
      if (floor_rule == Floor::kMax || (floor_rule == Floor::kTarget && i == 0))
        information.clamp_min_(floor);
    };
    if (floor_when == When::kBefore) keep_above_floor();
    information.mul_(measured.factors[i]);
    if (floor_when == When::kAfter) keep_above_floor();
    information.mul_(lambdas[i]);
    sum = sum.defined() ? sum.addcmul_(information, expert) : information * expert;
    divisor = divisor.defined() ? divisor.add_(information) : information;
  }
  if (floor_rule == Floor::kOne) divisor.masked_fill_(divisor == 0, 1);
  return sum.div_(divisor).to(at::kFloat);
}

ASSAY_METHOD(FisherMerging)

}  // namespace
}  // namespace assay
