/// Task-specific pruning: experts that few tokens are sent to are dropped while a mixture is
/// trained (Chen et al., arXiv:2206.00277; the baseline of Li et al., arXiv:2310.01334 §4).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "methods/moe/mixture_layers.h"
#include "methods/moe/training_routes.h"

namespace assay {

struct DropRule {
  int64_t left = 0;    ///< experts of each layer that are left in the end
  double below = 0.1;  ///< those with less than this share of an even usage are dropped
  double decay = 0.9;  ///< what the running mean of usage keeps in a step
  double until = 0.5;  ///< the share of the stage's tokens after which only `left` are left
};

/// Tokens are sent to the experts that are left, as the model does without the others' logits.
/// After each step a layer's usages, the shares of its router's choices in the step, count towards
/// their running means, which begin with those of the first step. Then experts whose mean is below
/// `below` / (the number that is left) are dropped, the least used first, and of equal ones the
/// last; never more than leaves `left`. Padding does not count.
class DroppingRoutes final : public TrainingRoutes {
 public:
  DroppingRoutes(const std::vector<MixtureLayer>& layers, const DropRule& rule);
  RouteTokens route(size_t expert, int64_t step) override;
  void stepped(double seen) override;
  /// The experts of a layer that are left, ascending. `router`: the name of its weight.
  const std::vector<int64_t>& left(const std::string& router) const {
    return layers_.at(router).left;
  }

 private:
  struct Layer {
    std::vector<int64_t> left;
    std::vector<double> chosen;  ///< of all experts: how often in this step
    std::vector<double> usage;   ///< running means; empty before the first step
  };
  void drop(Layer& layer, bool last) const;

  DropRule rule_;
  std::map<std::string, Layer> layers_;  ///< by router
};

}  // namespace assay
