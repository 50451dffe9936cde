#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/method/method.h"
#include "methods/permute/layer_regression.h"
#include "methods/permute/matching.h"
#include "methods/permute/widths.h"

namespace assay {
namespace {

/// PLeaS: permutations and least squares. Of each group of units the ones that match best are
/// merged, the others of every network are kept side by side; then each layer is fitted to what it
/// gave in the networks. From an average of matched networks (ratio 0) to their ensemble in one
/// network (ratio 1).
struct Pleas {
  enum class By { kWeights, kActivations };
  enum class Fit { kClosedForm, kAdam, kNone };

  static constexpr MethodInfo info{
      .name = "pleas",
      .version = 2,
      .paper = "arXiv:2407.02447 §3",
      .summary = "merges the units that match, keeps the others side by side, and fits each layer",
      .needs = {.min_experts = 2,
                .calibration_inputs = true,
                .architecture = true,
                .same_initialization = false,
                .output = Output::kWider},
      .own_moments = true,
      .identity = "{}",
      .flops =
          "all examples through 3 N - 2 networks, 2 (N - 1) T u^2 for each place where a layer "
          "reads or gives u units in T rows, and 2 T ((N + 1) m n + n^2) + 8 m n^2 + n^3 / 3 "
          "for each layer of n inputs and m outputs"};
  static constexpr Preset presets[] = {
      {"permute", R"({"fit": "none"})", "matched and averaged, no layer is fitted"},
      {"adam", R"({"fit": "adam"})", "fitted by Adam, as the released code does"},
      {"weights", R"({"by": "weights"})", "units are matched by their weights"}};
  double ratio = 0;
  double budget = 1;
  Allocation allocation = Allocation::kUniform;
  By by = By::kActivations;
  UnitSimilarity similarity = UnitSimilarity::kDistance;
  bool streams = true;
  Fit fit = Fit::kClosedForm;
  double ridge = 1e-6;
  int64_t steps = 400;
  double learning_rate = 5e-4;
  int64_t batch = 16;
  int64_t norm_batch = 64;
  int64_t gram_mib = 2048;

  void parameters(auto&& p) {
    p(ratio, {.name = "ratio",
              .range = {0, 1},
              .sweep = {0, 0.25, 0.5, 0.75, 1},
              .help = "the share of units that are kept side by side: the result is 1 + ratio * "
                      "(experts - 1) times as wide"});
    p(budget, {.name = "budget",
               .range = {1, 64},
               .help = "in place of 'ratio': how many times the floating-point operations of one "
                       "network the result may take, those with the zeros between separate units "
                       "of two networks not counted"});
    p(allocation, {.name = "allocation",
                   .choices = {"uniform", "zip", "greedy"},
                   .help = "every group keeps the same share; or the last groups, this share of "
                           "them, keep all and the others none; or, of a budget, those that cost "
                           "least keep all"});
    p(by,
      {.name = "by", .choices = {"weights", "activations"}, .help = "what units are compared by"});
    p(similarity, {.name = "similarity",
                   .choices = {"correlation", "distance", "product"},
                   .help = "of activations, as in git_rebasin"});
    p(streams,
      {.name = "streams", .help = "whether the units of residual streams are matched, too"});
    p(fit, {.name = "fit",
            .choices = {"closed_form", "adam", "none"},
            .help = "how layers are fitted: by ridge regression, by Adam on the same sums, or not "
                    "at all"});
    p(ridge, {.name = "ridge",
              .range = {0, 1},
              .help = "how strongly a layer stays at the partial merge: a multiple of the mean "
                      "diagonal of its Gram matrix"});
    p(steps, {.name = "steps", .range = {1, 100000}, .help = "of Adam"});
    p(learning_rate, {.name = "learning_rate", .range = {0, 1}, .help = "of Adam"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
    p(norm_batch, {.name = "norm_batch",
                   .range = {2, 4096},
                   .help = "examples in a pass that estimates the moments of BatchNorm layers"});
    p(gram_mib,
      {.name = "gram_mib",
       .range = {1, 1 << 20},
       .help = "MiB that Gram matrices may take: layers are fitted in as many passes over "
               "the data as it takes"});
  }

  std::optional<std::string> conflict() const {
    if (ratio > 0 && budget > 1)
      return "parameters 'ratio' and 'budget' both say how wide the result is: give one";
    if (allocation == Allocation::kGreedy && budget == 1)
      return "parameter 'allocation' is greedy, which goes with a 'budget' above 1";
    return std::nullopt;
  }
  std::optional<OutputPlan> plan(const PlanInputs& models) const;
  StateDict merge_model(const ModelJob& job) const;

 private:
  /// How many units of each group are kept side by side.
  std::vector<int64_t> separate(const UnitGroups& groups, const Evidence& evidence,
                                const Shapes& shapes, size_t models) const;
  bool widens() const { return ratio > 0 || budget > 1; }
  Matching match(const ModelJob& job, const UnitGroups& groups, const MatchingData& data,
                 const StateDict& first, const StateDict& other, size_t expert) const;
};

std::vector<int64_t> Pleas::separate(const UnitGroups& groups, const Evidence& evidence,
                                     const Shapes& shapes, size_t models) const {
  if (budget == 1) return separate_by_ratio(groups, allocation, ratio);
  return separate_by_flops(groups, PartialFlops(groups, evidence, shapes, models), allocation,
                           budget);
}

std::optional<OutputPlan> Pleas::plan(const PlanInputs& models) const {
  if (!widens()) return same_tensors(models);
  return wider_plan(models, streams, info.name,
                    [&](const UnitGroups& groups, const Shapes& shapes) {
                      return separate(groups, *models.evidence, shapes, models.experts.size());
                    });
}

Matching Pleas::match(const ModelJob& job, const UnitGroups& groups, const MatchingData& data,
                      const StateDict& first, const StateDict& other, size_t expert) const {
  constexpr int64_t kMaxSweeps = 100;
  if (by == By::kWeights)
    return match_weights(groups, first, other, stream_key(expert, info.name), kMaxSweeps);
  return match_activations(groups, activation_similarities(groups, job.evidence(), data, first,
                                                           other, similarity, UnitPlaces::kAll));
}

StateDict Pleas::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  const UnitGroups groups(job, streams, info.name);
  const MatchingData data = matching_data(job, batch);
  std::vector<StateDict> models{expert_weights(job, 0)};
  // How well the units that match go together, a mean over networks.
  std::vector<std::vector<double>> matched;
  for (size_t i = 0; i < groups.size(); ++i)
    matched.emplace_back(static_cast<size_t>(groups.units(i)), 0.0);
  for (size_t k = 1; k < job.num_experts(); ++k) {
    const StateDict own = expert_weights(job, k);
    const Matching matching = match(job, groups, data, models.front(), own, k);
    StateDict& model = models.emplace_back();
    for (const auto& [name, tensor] : own)
      model[name] = groups.reordered(name, tensor, matching.orders);
    for (size_t i = 0; i < groups.size(); ++i) {
      const at::Tensor& similarities = matching.similarities[i];
      const double* values = similarities.data_ptr<double>();
      for (size_t unit = 0; unit < matched[i].size(); ++unit)
        matched[i][unit] +=
            values[static_cast<int64_t>(unit) * groups.units(i) + matching.orders[i][unit]];
    }
  }
  const Shapes shapes = shapes_of(models.front());
  const std::vector<int64_t> counts = separate(groups, job.evidence(), shapes, models.size());
  std::vector<UnitSplit> splits;
  for (size_t i = 0; i < groups.size(); ++i) splits.push_back(split_units(matched[i], counts[i]));
  const PartialMerge merge(groups, std::move(splits), models.size());

  const TensorParts reports = job.parts(job.names().front());
  reports.report("relative_flops",
                 PartialFlops(groups, job.evidence(), shapes, models.size()).of(counts));
  StateDict result;
  for (const std::string& name : job.names()) {
    std::vector<at::Tensor> tensors;
    for (const StateDict& model : models) tensors.push_back(model.at(name));
    result[name] = merge.merged(name, tensors, job.evidence().layer(name));
  }
  if (fit != Fit::kNone) {
    const RegressionNotes notes = fit_layers(
        merge, job, data, models,
        {.solver = fit == Fit::kAdam ? RegressionSolver::kAdam : RegressionSolver::kClosedForm,
         .ridge = ridge,
         .steps = steps,
         .learning_rate = learning_rate,
         .gram_bytes = gram_mib << 20},
        result);
    reports.report("passes", static_cast<double>(notes.passes));
    reports.report("gram_mib", static_cast<double>(notes.gram_bytes) / (1 << 20));
    reports.report("error_before_fit", notes.loss_before);
    reports.report("error_after_fit", notes.loss_after);
  }
  for (auto& [unused, tensor] : result) tensor = tensor.to(at::kFloat);

  estimate_moments(job, groups, counts, norm_batch, result);
  return result;
}

ASSAY_METHOD(Pleas)

}  // namespace
}  // namespace assay
