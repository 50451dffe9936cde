#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/method/method.h"
#include "harness/method/subsets.h"
#include "methods/moe/fewer_experts.h"
#include "methods/moe/mixture_layers.h"
#include "methods/moe/mixture_slots.h"
#include "methods/moe/routing.h"

namespace assay {
namespace {

/// Leaves some experts of each layer of a mixture, and their rows of the router.
struct PruneExperts {
  enum class By { kUsage, kSaliency, kSubsetErrors };

  static constexpr MethodInfo info{
      .name = "prune_experts",
      .paper = "arXiv:2310.01334 §4",
      .summary = "leaves the experts of a mixture that matter most, and their rows of the router",
      .needs = {.max_experts = 1, .calibration_inputs = true, .output = Output::kMixtureOfExperts},
      .identity = "",
      .flops = "none: tensors are copied"};  // the result has fewer experts
  static constexpr Preset presets[] = {
      {"usage", "{}", "by how often the router chooses them (the default)"},
      {"reap", R"({"by": "saliency"})",
       "REAP (arXiv:2510.13999): by the mean of weight times the norm of the output, over the "
       "tokens that an expert is sent"},
      {"naee", R"({"by": "subset_errors", "experts": 4})",
       "NAEE (arXiv:2402.14800): the subset that changes the layer's output least, of all; every "
       "layer by itself"}};
  int64_t experts = 0;
  By by = By::kUsage;

  void parameters(auto&& p) {
    p(experts, {.name = "experts",
                .range = {0, 4096},
                .help = "how many experts of each layer are left; 0: half of them"});
    p(by, {.name = "by",
           .choices = {"usage", "saliency", "subset_errors"},
           .help = "what decides: how often an expert is chosen, weight times output, or what "
                   "the layer loses without the others"});
  }

  std::vector<StatisticRef> statistics() const {
    if (by == By::kSubsetErrors) return {{"subset_errors", {{"kept", experts}}}};
    return {{"routing"}};
  }
  std::optional<std::string> conflict() const {
    if (by == By::kSubsetErrors && experts == 0)
      return "parameter 'by' is subset_errors, for which 'experts' is to be a number";
    return std::nullopt;
  }
  OutputPlan plan(const PlanInputs& models) const;
  StateDict merge_model(const ModelJob& job) const;

 private:
  /// The experts that are left, ascending.
  std::vector<int64_t> kept(const ModelJob& job, const MixtureLayer& layer, int64_t left) const;
};

OutputPlan PruneExperts::plan(const PlanInputs& models) const {
  const TensorSource& model = *models.experts.front();
  std::vector<std::string> names;
  for (const TensorInfo& tensor : model.tensors()) names.push_back(tensor.name);
  const std::vector<MixtureLayer> layers = mixture_layers(names, info.name);
  const int64_t left = experts_left(layers, experts, info.name);
  if (by == By::kSubsetErrors) subsets_of(layers.front().experts(), left);  // refuses too many
  OutputPlan plan{config_of_fewer(models.config, left, info.name), plan_slots(model, layers, left)};
  need_plain_routers(layers, plan.tensors, info.name);
  std::set<std::string> routers;
  for (const MixtureLayer& layer : layers) routers.insert(layer.router);
  for (OutputTensor& tensor : plan.tensors) {
    if (!routers.contains(tensor.name)) continue;
    tensor.shape = model.find(tensor.name)->shape;
    tensor.shape->front() = left;
  }
  return plan;
}

std::vector<int64_t> PruneExperts::kept(const ModelJob& job, const MixtureLayer& layer,
                                        int64_t left) const {
  const auto statistic = job.evidence().statistic(statistics().front(), 0);
  if (by == By::kSubsetErrors) {
    const auto best = static_cast<size_t>(statistic->read(layer.router).argmin().item<int64_t>());
    return subsets_of(layer.experts(), left).at(best);
  }
  const Routing routing = read_routing(*statistic, layer.router, false);
  const std::vector<double>& score = by == By::kUsage ? routing.usage : routing.saliency;
  std::vector<int64_t> order(score.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return score[static_cast<size_t>(a)] > score[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(left));
  std::sort(order.begin(), order.end());
  return order;
}

StateDict PruneExperts::merge_model(const ModelJob& job) const {
  const StateDict model = model_of_slots(job, info.name);
  std::vector<std::string> names;
  for (const auto& [name, unused] : model) names.push_back(name);
  StateDict result;
  for (const std::string& name : job.names()) result[name] = model.at(name);
  const std::vector<MixtureLayer> layers = mixture_layers(names, info.name);
  const int64_t left = experts_left(layers, experts, info.name);
  for (const MixtureLayer& layer : layers)
    keep_experts(layer, kept(job, layer, left), model, result);
  return result;
}

ASSAY_METHOD(PruneExperts)

}  // namespace
}  // namespace assay
