#include <ATen/ATen.h>

#include "harness/kernels/sums/weighted_sum.h"
#include "methods/data/fisher_statistic.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// Uncertainty-based gradient matching: task arithmetic whose task vectors are weighed, entry by
/// entry, by the Hessian of their own loss over that of all losses, which keeps the merged model's
/// gradients like those of a model trained on all tasks. Hessians are diagonals of Fisher
/// information. The base's own, on the data that it was made of, is taken as a constant.
struct GradientMatching {
  static constexpr MethodInfo info{
      .name = "gradient_matching",
      .paper = "arXiv:2310.12808 §3",
      .summary = "task vectors weighed by their task's Hessian over the sum of all Hessians",
      .needs = {.base = true, .calibration_inputs = true, .gradients = true},
      .identity = "",  // where the experts' data say nothing it sums their task vectors
      .flops = "(6 N + 3) d"};
  FisherStatistic fisher;
  double prior = 1e-2;
  double scale = 1;
  std::vector<double> weights;

  void parameters(auto&& p) {
    fisher.parameters(p);
    p(prior, {.name = "prior",
              .range = {1e-30, 1e6},
              .sweep = {1e-6, 1e-4, 1e-2, 1},
              .help = "the base's Hessian, the same for all entries (the authors' delta_0): small "
                      "against the Fisher information it leaves a mean weighed by that, large it "
                      "leaves task arithmetic"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.3, 0.5, 1},
              .help = "multiplier of the sum, and of the Fisher information in the divisor, as in "
                      "the authors' code"});
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
  }

  Needs needs() const { return fisher.needs(info.needs); }
  std::vector<StatisticRef> statistics() const { return {fisher.ref()}; }
  void prepare(const ModelJob& job) { check_weights(weights, job); }
  std::vector<FisherStatistic::Source> measure(const TensorParts& tensor) const {
    return fisher.open(tensor);
  }

  at::Tensor merge(const TensorJob& part,
                   const std::vector<FisherStatistic::Source>& sources) const {
    const std::vector<double> shares = expert_weights(weights, part.experts.size());
    const at::Tensor base = part.base.to(at::kDouble);
    at::Tensor sum = at::zeros_like(base), divisor = at::full_like(base, prior);
    for (size_t i = 0; i < part.experts.size(); ++i) {
      const at::Tensor hessian = read_fisher(sources[i], part).mul_(shares[i]);
      divisor.add_(hessian, scale);
      sum.addcmul_(hessian + prior, part.experts[i].to(at::kDouble) - base);
    }
    return base.add(sum.div_(divisor), scale).to(at::kFloat);
  }
};

ASSAY_METHOD(GradientMatching)

}  // namespace
}  // namespace assay
