#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/core/rng.h"
#include "harness/method/method.h"
#include "methods/permute/matching.h"
#include "methods/permute/unit_maps.h"
#include "methods/permute/widths.h"
#include "methods/permute/zip.h"
#include "methods/permute/zip_by_weights.h"

namespace assay {
namespace {

/// ZipIt!: units that are alike become one, within a network as well as across networks, until as
/// many are left as one network has. A unit of the result is the mean of its members; whoever reads
/// it reads what they read of any of them.
struct Zipit {
  enum class By { kActivations, kWeights, kBoth };

  static constexpr MethodInfo info{
      .name = "zipit",
      .version = 2,
      .paper = "arXiv:2305.03053 §4",
      .summary = "merges units that are alike, across networks and within them",
      .needs = {.min_experts = 2,
                .calibration_inputs = true,
                .architecture = true,
                .same_initialization = false,
                .output = Output::kWider},
      .own_moments = true,
      // Units of one network that are alike become one, too, unless that is ruled out.
      .identity = R"({"beta": 0})",
      .flops =
          "all examples through N networks, 2 T (N u)^2 for each place where a layer reads or "
          "gives u units in T rows, and 2 N u d for each axis of a tensor of d values that has "
          "u units; 'by' weights and both also N (2 N u + 6) d for each such axis in a sweep, and "
          "2 N u' d for each other axis of the tensor that has u' units"};
  static constexpr Preset presets[] = {
      {"mudsc", R"({"by": "both", "places": "last", "alpha": 0.5, "beta": 1})",
       "MuDSC's zip: weights and activations count alike (arXiv:2403.01753)"}};
  By by = By::kActivations;
  UnitPlaces places = UnitPlaces::kAll;
  double balance = 0.5;
  double alpha = 0.3;
  double beta = 0.125;
  double zipped = 1;
  bool streams = true;
  int64_t batch = 16;
  int64_t norm_batch = 64;

  void parameters(auto&& p) {
    p(by, {.name = "by",
           .choices = {"activations", "weights", "both"},
           .help = "what units are compared by: the correlations of their activations on the "
                   "experts' data, of their weights, or of both"});
    p(places, {.name = "places",
               .choices = {"all", "last"},
               .help = "where activations are compared: wherever a layer reads or gives the units, "
                       "or where the last layer that reads them does"});
    p(balance, {.name = "balance",
                .range = {0, 1},
                .help = "of 'by' both: what weights count; activations count the rest"});
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.1, 0.3, 0.5},
              .help = "what the similarities of a merged unit are multiplied by: the lower, the "
                      "fewer units go into one"});
    p(beta,
      {.name = "beta",
       .range = {0, 1},
       .sweep = {0, 0.125, 0.25},
       .help = "the share of the units that a network loses which it may merge with its own"});
    p(zipped, {.name = "zipped",
               .range = {0, 1},
               .help = "the share of the groups of units, from the network's first on, that are "
                       "merged; the networks stay apart in those that follow (partial zip)"});
    p(streams,
      {.name = "streams", .help = "whether the units of residual streams are merged so, too"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
    p(norm_batch, {.name = "norm_batch",
                   .range = {2, 4096},
                   .help = "examples in a pass that estimates the moments of BatchNorm layers"});
  }

  /// How many units of each group the networks keep.
  std::vector<int64_t> separate(const UnitGroups& groups) const {
    return separate_by_ratio(groups, Allocation::kZip, 1 - zipped);
  }
  std::optional<OutputPlan> plan(const PlanInputs& models) const {
    if (zipped == 1) return same_tensors(models);
    return wider_plan(
        models, streams, info.name,
        [this](const UnitGroups& groups, const Shapes& /*shapes*/) { return separate(groups); });
  }
  StateDict merge_model(const ModelJob& job) const;
};

StateDict Zipit::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  const UnitGroups groups(job, streams, info.name);
  std::vector<StateDict> networks;
  for (size_t i = 0; i < job.num_experts(); ++i) networks.push_back(expert_weights(job, i));
  const auto models = static_cast<int64_t>(networks.size());

  std::vector<at::Tensor> similarities;
  if (by != By::kWeights)
    similarities = joint_similarities(groups, job.evidence(), matching_data(job, batch), networks,
                                      UnitSimilarity::kCorrelation, places);
  const ZipOptions options{alpha, beta};
  const std::vector<int64_t> counts = separate(groups);
  UnitMaps maps(groups, job.evidence());
  std::vector<size_t> merging;
  for (size_t i = 0; i < groups.size(); ++i) {
    const int64_t units = groups.units(i);
    if (counts[i] > 0) {
      maps.set(i, side_by_side(units, models));
    } else if (PartialMerge::can_widen(groups, i)) {  // of others a unit is no sum of its members'
      merging.push_back(i);
      if (by != By::kWeights)
        maps.set(i, zipped_together(zip_units(similarities[i], units, models, options).unit_of,
                                    units, models));
    }
  }
  if (by != By::kActivations) {
    const int64_t sweeps =
        zip_by_weights(groups, merging, networks, similarities, by == By::kBoth ? balance : 1,
                       stream_key(0, info.name), options, maps);
    job.parts(job.names().front()).report("sweeps", static_cast<double>(sweeps));
  }

  StateDict merged;
  for (const std::string& name : job.names()) {
    at::Tensor sum;
    for (size_t k = 0; k < networks.size(); ++k) {
      const at::Tensor own = maps.mapped(k, name, networks[k].at(name));
      sum = sum.defined() ? sum + own : own;
    }
    merged[name] = (sum / static_cast<double>(models)).to(at::kFloat);
  }
  estimate_moments(job, groups, counts, norm_batch, merged);
  return merged;
}

ASSAY_METHOD(Zipit)

}  // namespace
}  // namespace assay
