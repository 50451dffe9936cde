#include <ATen/ATen.h>

#include <cmath>

#include "harness/kernels/sums/dot_products.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// Fisher merging: a mean of the experts, each element weighed by how much the expert's outputs on
/// its own data depend on it: the diagonal of its Fisher information.
struct FisherMerging {
  enum class Estimator { kExact, kEmpirical, kSampled, kArgmax, kMergelm };
  enum class Floor { kMax, kAdd };
  using Statistics = std::vector<std::shared_ptr<const TensorSource>>;

  static constexpr MethodInfo info{
      .name = "fisher",
      .paper = "arXiv:2111.09832 §3",
      .summary = "mean of the experts weighed by the diagonals of their Fisher information",
      .needs = {.calibration_inputs = true, .gradients = true}};
  static constexpr Preset presets[] = {
      {"mergelm", R"({"estimator": "mergelm", "floor.rule": "add", "normalize": false})",
       "MergeLM's code: the squared gradient of a sum over classes, which is no Fisher "
       "information, plus 1e-6"},
      {"mats", R"({"estimator": "empirical", "floor": 1e-8, "normalize": false})",
       "as in MaTS and Realistic Evaluation: the true labels' gradients, a floor of 1e-8"}};
  Estimator estimator = Estimator::kExact;
  bool normalize = true;
  Floor floor_rule = Floor::kMax;
  double floor = 1e-6;
  std::vector<double> weights;

  void parameters(auto&& p) {
    p(estimator,
      {.name = "estimator",
       .choices = {kEstimators.begin(), kEstimators.end()},
       .help = "whose log-probability's gradient is squared: that of every class, by probability "
               "(exact), of the true one (empirical), of one that is drawn (sampled), of the most "
               "probable one (argmax), or MergeLM's sum over classes (mergelm)"});
    p(normalize, {.name = "normalize",
                  .help = "divide each expert's Fisher information by its norm over the model"});
    p(floor_rule, {.name = "floor.rule",
                   .choices = {"max", "add"},
                   .help = "whether Fisher information below the floor is raised to it, or the "
                           "floor is added to all; without any, elements become the mean"});
    p(floor, {.name = "floor",
              .range = {1e-30, 1},
              .help = "the least Fisher information, after normalizing"});
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
  }

  Needs needs() const {
    Needs needs = info.needs;
    needs.calibration_labels = estimator == Estimator::kEmpirical;
    return needs;
  }
  std::vector<StatisticRef> statistics() const {
    return {{"fisher", {{"estimator", kEstimators[static_cast<size_t>(estimator)]}}}};
  }
  std::optional<std::string> conflict() const { return zero_sum(weights, "a sum above 0"); }
  void prepare(const ModelJob& job);
  /// The statistic of each expert; null for a tensor that it lacks.
  Statistics measure(const TensorParts& tensor) const;
  at::Tensor merge(const TensorJob& part, const Statistics& fishers) const;

 private:
  static constexpr std::array<std::string_view, 5> kEstimators = {"exact", "empirical", "sampled",
                                                                  "argmax", "mergelm"};

  Statistics open(const Evidence& evidence, size_t experts) const;

  /// What multiplies each expert's Fisher information before the floor.
  std::vector<double> factors_;
};

FisherMerging::Statistics FisherMerging::open(const Evidence& evidence, size_t experts) const {
  Statistics fishers;
  for (size_t i = 0; i < experts; ++i) fishers.push_back(evidence.statistic(statistics()[0], i));
  return fishers;
}

void FisherMerging::prepare(const ModelJob& job) {
  check_weights(weights, job);
  factors_.assign(job.num_experts(), 1);
  if (!normalize) return;
  const Statistics fishers = open(job.evidence(), job.num_experts());
  for (size_t i = 0; i < fishers.size(); ++i) {
    double squares = 0;
    for (const std::string& name : job.names()) {
      const TensorInfo* found = fishers[i]->find(name);
      for (int64_t first = 0; found && first < found->numel(); first += kPartElements) {
        const int64_t count = std::min(kPartElements, found->numel() - first);
        squares += dot_products({fishers[i]->read_part(name, first, count)})(0, 0);
      }
    }
    if (squares > 0) factors_[i] = 1 / std::sqrt(squares);
  }
}

FisherMerging::Statistics FisherMerging::measure(const TensorParts& tensor) const {
  Statistics fishers = open(tensor.evidence(), tensor.num_experts());
  for (size_t i = 0; i < fishers.size(); ++i) {
    const TensorInfo* found = fishers[i]->find(tensor.name());
    if (!found)
      fishers[i] = nullptr;
    else if (found->numel() != tensor.elements())
      data_error("the statistic 'fisher' of expert {} has {} elements for tensor '{}': expected {}",
                 i, found->numel(), tensor.name(), tensor.elements());
  }
  return fishers;
}

at::Tensor FisherMerging::merge(const TensorJob& part, const Statistics& fishers) const {
  const std::vector<double> lambdas = expert_weights(weights, part.experts.size());
  const int64_t count = part.experts.front().numel();
  at::Tensor sum, divisor;
  for (size_t i = 0; i < part.experts.size(); ++i) {
    const at::Tensor expert = part.experts[i].to(at::kDouble);
    at::Tensor fisher = at::zeros_like(expert);  // as of tensors that no gradient reaches
    if (fishers[i])
      fisher.copy_(fishers[i]->read_part(part.name, part.offset, count)).mul_(factors_[i]);
    if (floor_rule == Floor::kMax)
      fisher.clamp_min_(floor);
    else
      fisher.add_(floor);
    fisher.mul_(lambdas[i]);
    sum = sum.defined() ? sum.addcmul_(fisher, expert) : fisher * expert;
    divisor = divisor.defined() ? divisor.add_(fisher) : fisher;
  }
  return sum.div_(divisor).to(at::kFloat);
}

ASSAY_METHOD(FisherMerging)

}  // namespace
}  // namespace assay
