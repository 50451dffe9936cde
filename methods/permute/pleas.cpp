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
#include "methods/permute/partial.h"

namespace assay {
namespace {

/// PLeaS: permutations and least squares. Of each group of units the ones that match best are
/// merged, the others of every network are kept side by side; then each layer is fitted to what it
/// gave in the networks. From an average of matched networks (ratio 0) to their ensemble in one
/// network (ratio 1).
struct Pleas {
  enum class By { kWeights, kActivations };
  enum class Allocation { kUniform, kZip };
  enum class Fit { kClosedForm, kAdam, kNone };

  static constexpr MethodInfo info{
      .name = "pleas",
      .paper = "arXiv:2407.02447 §3",
      .summary = "merges the units that match, keeps the others side by side, and fits each layer",
      .needs = {.min_experts = 2,
                .calibration_inputs = true,
                .architecture = true,
                .same_initialization = false,
                .output = Output::kWider},
      .identity = "{}"};
  static constexpr Preset presets[] = {
      {"permute", R"({"fit": "none"})", "matched and averaged, no layer is fitted"},
      {"adam", R"({"fit": "adam"})", "fitted by Adam, as the released code does"},
      {"weights", R"({"by": "weights"})", "units are matched by their weights"}};
  double ratio = 0;
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
    p(allocation, {.name = "allocation",
                   .choices = {"uniform", "zip"},
                   .help = "every group keeps the same share; or the last groups, this share of "
                           "them, keep all and the others none"});
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

  std::optional<OutputPlan> plan(const PlanInputs& models) const;
  StateDict merge_model(const ModelJob& job) const;

 private:
  /// How many units of each group are kept side by side.
  std::vector<int64_t> separate(const UnitGroups& groups) const;
  Matching match(const ModelJob& job, const UnitGroups& groups, const MatchingData& data,
                 const StateDict& first, const StateDict& other, size_t expert) const;
};

std::vector<int64_t> Pleas::separate(const UnitGroups& groups) const {
  std::vector<size_t> widening;
  for (size_t i = 0; i < groups.size(); ++i)
    if (PartialMerge::can_widen(groups, i)) widening.push_back(i);
  std::vector<int64_t> counts(groups.size(), 0);
  const auto whole = static_cast<size_t>(std::lround(ratio * static_cast<double>(widening.size())));
  for (size_t i = 0; i < widening.size(); ++i) {
    const int64_t units = groups.units(widening[i]);
    if (allocation == Allocation::kUniform)
      counts[widening[i]] = std::lround(ratio * static_cast<double>(units));
    else if (i + whole >= widening.size())
      counts[widening[i]] = units;
  }
  return counts;
}

/// Splits that have the right sizes, before it is known which units match.
std::vector<UnitSplit> any_splits(const UnitGroups& groups, const std::vector<int64_t>& separate) {
  std::vector<UnitSplit> splits;
  for (size_t i = 0; i < groups.size(); ++i)
    splits.push_back(
        split_units(std::vector<double>(static_cast<size_t>(groups.units(i))), separate[i]));
  return splits;
}

/// config.json of the result; null where no architecture has these widths.
Json wide_config(const Evidence& evidence, const PartialMerge& merge,
                 const std::map<std::string, std::vector<int64_t>>& shapes) {
  std::map<std::string, std::vector<int64_t>> wide;
  for (const auto& [name, shape] : shapes) wide[name] = merge.shape(name, shape);
  return evidence.config_of_shapes(wide);
}

std::optional<OutputPlan> Pleas::plan(const PlanInputs& models) const {
  OutputPlan plan = same_tensors(models);
  if (ratio == 0) return plan;
  if (!models.evidence)
    throw SkipCell(
        "pleas makes a wider network, which needs models with a config.json that Assay "
        "knows, and data");
  std::vector<std::string> names;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const TensorInfo& tensor : models.experts.front()->tensors()) {
    names.push_back(tensor.name);
    shapes[tensor.name] = tensor.shape;
  }
  const UnitGroups groups(names, *models.evidence, streams, info.name);
  const PartialMerge merge(groups, any_splits(groups, separate(groups)), models.experts.size());
  plan.config = wide_config(*models.evidence, merge, shapes);
  if (plan.config.is_null())
    throw SkipCell(
        "pleas makes a wider network, and models of this architecture have no widths of "
        "their own for each layer: 'ratio' can only be 0");
  for (OutputTensor& tensor : plan.tensors) {
    const std::vector<int64_t> shape = merge.shape(tensor.name, shapes.at(tensor.name));
    if (shape != shapes.at(tensor.name)) tensor.shape = shape;
  }
  return plan;
}

Matching Pleas::match(const ModelJob& job, const UnitGroups& groups, const MatchingData& data,
                      const StateDict& first, const StateDict& other, size_t expert) const {
  constexpr int64_t kMaxSweeps = 100;
  if (by == By::kWeights)
    return match_weights(groups, first, other, stream_key(expert, info.name), kMaxSweeps);
  return match_activations(
      groups, activation_similarities(groups, job.evidence(), data, first, other, similarity));
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
  const std::vector<int64_t> counts = separate(groups);
  std::vector<UnitSplit> splits;
  for (size_t i = 0; i < groups.size(); ++i) splits.push_back(split_units(matched[i], counts[i]));
  const PartialMerge merge(groups, std::move(splits), models.size());

  StateDict result;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const std::string& name : job.names()) {
    std::vector<at::Tensor> tensors;
    for (const StateDict& model : models) tensors.push_back(model.at(name));
    result[name] = merge.merged(name, tensors, job.evidence().layer(name));
    shapes[name] = tensors.front().sizes().vec();
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
    const TensorParts reports = job.parts(job.names().front());
    reports.report("passes", static_cast<double>(notes.passes));
    reports.report("gram_mib", static_cast<double>(notes.gram_bytes) / (1 << 20));
    reports.report("error_before_fit", notes.loss_before);
    reports.report("error_after_fit", notes.loss_after);
  }
  for (auto& [unused, tensor] : result) tensor = tensor.to(at::kFloat);

  // Units side by side alone are the networks' own: so are their moments.
  bool any_merged = false;
  for (size_t i = 0; i < groups.size(); ++i) any_merged |= counts[i] < groups.units(i);
  const bool has_moments = std::any_of(job.names().begin(), job.names().end(), is_running_moment);
  if (!any_merged || !has_moments) return result;
  std::vector<size_t> experts(job.num_experts());
  std::iota(experts.begin(), experts.end(), size_t{0});
  std::unique_ptr<const Network> wide;
  if (ratio > 0) wide = job.evidence().network_of(wide_config(job.evidence(), merge, shapes));
  const Network& network = wide ? *wide : job.evidence().network();
  for (auto& [name, values] : layer_inputs(network).running_moments(result, experts, norm_batch))
    if (const auto place = result.find(name); place != result.end()) place->second = values;
  return result;
}

ASSAY_METHOD(Pleas)

}  // namespace
}  // namespace assay
