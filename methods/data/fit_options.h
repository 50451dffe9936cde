/// What methods have in common that fit each linear layer and leave all other tensors to another
/// method.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "methods/data/layer_fit.h"
#include "methods/data/tensor_components.h"
#include "methods/dense/weights.h"

namespace assay {

struct FitOptions {
  std::vector<double> weights;
  Heads heads = Heads::kOthers;
  MethodComponent others{kOthersDefault};

  void parameters(auto&& p) {
    p(weights, {.name = "weights",
                .range = {0, 10},
                .help = "a weight per expert in the fits, in the order of the merge; empty: all "
                        "equal"});
    heads_parameter(heads, p);
    others_parameter(others, p);
  }

  std::optional<std::string> conflict() const {
    if (auto reason = zero_sum(weights, "a sum above 0")) return reason;
    return component_conflict("others", others);
  }
  void prepare(const ModelJob& job) {
    check_weights(weights, job);
    prepare_component(others, job,
                      [&](const std::string& tensor) { return !fitted(job.evidence(), tensor); });
  }
  /// The layer that is to be fitted; null for tensors that are left to `others`.
  const LayerInfo* fitted(const Evidence& evidence, const std::string& tensor) const {
    return fitted_layer(evidence, tensor, heads);
  }
  /// The experts' weights, of sum 1.
  std::vector<double> shares(size_t experts) const { return normalized_weights(weights, experts); }
  /// A method's own statistic, and those of `others`.
  std::vector<StatisticRef> statistics(StatisticRef own) const {
    std::vector<StatisticRef> all = others->statistics();
    all.push_back(std::move(own));
    return all;
  }
};

}  // namespace assay
