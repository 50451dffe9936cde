#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <numeric>

#include "harness/method/method.h"
#include "methods/permute/matching.h"
#include "methods/permute/widths.h"
#include "methods/permute/zip.h"

namespace assay {
namespace {

/// ZipIt!: units that are alike become one, within a network as well as across networks, until as
/// many are left as one network has. A unit of the result is the mean of its members; whoever reads
/// it reads what they read of any of them.
struct Zipit {
  static constexpr MethodInfo info{
      .name = "zipit",
      .paper = "arXiv:2305.03053 §4",
      .summary = "merges units that are alike on data, across networks and within them",
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
          "u units"};
  double alpha = 0.3;
  double beta = 0.125;
  double zipped = 1;
  bool streams = true;
  int64_t batch = 16;
  int64_t norm_batch = 64;

  void parameters(auto&& p) {
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

/// Of one group, for each network. Rows of `mean`, [units of the result, units], make a unit of the
/// result, rows of `copy`, [units, units of the result], say in which one each unit went.
struct UnitMap {
  std::vector<at::Tensor> mean, copy;
};

/// All units side by side.
UnitMap side_by_side(int64_t units, int64_t models) {
  const at::Tensor places = at::eye(units * models, at::kDouble);
  UnitMap made;
  for (int64_t k = 0; k < models; ++k) {
    made.copy.push_back(places.narrow(0, k * units, units));
    made.mean.push_back(made.copy.back().t());
  }
  return made;
}

UnitMap zipped_units(const std::vector<int64_t>& group_of, int64_t units, int64_t models) {
  at::Tensor members = at::zeros({units, units * models}, at::kDouble);
  for (size_t i = 0; i < group_of.size(); ++i) members[group_of[i]][static_cast<int64_t>(i)] = 1;
  const at::Tensor mean = members / members.sum(1, /*keepdim=*/true);
  UnitMap made;
  for (int64_t k = 0; k < models; ++k) {
    made.mean.push_back(mean.narrow(1, k * units, units).contiguous());
    made.copy.push_back(members.narrow(1, k * units, units).t().contiguous());
  }
  return made;
}

/// The product of a matrix [new units, units] with an axis of a tensor, which holds nothing else
/// where their numbers differ.
at::Tensor multiplied(const at::Tensor& matrix, const at::Tensor& tensor, const UnitAxis& axis,
                      int64_t units) {
  std::vector<int64_t> split = tensor.sizes().vec();
  split[static_cast<size_t>(axis.axis)] = axis.inner;
  split.insert(split.begin() + axis.axis, {axis.outer, units});
  return at::tensordot(matrix.to(tensor.device()), tensor.reshape(split), {1}, {axis.axis + 1})
      .movedim(0, axis.axis + 1)
      .flatten(axis.axis, axis.axis + 2);
}

StateDict Zipit::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  const MatchingData data = matching_data(job, batch);
  const UnitGroups groups(job, streams, info.name);
  std::vector<StateDict> networks;
  for (size_t i = 0; i < job.num_experts(); ++i) networks.push_back(expert_weights(job, i));
  const auto models = static_cast<int64_t>(networks.size());

  const std::vector<at::Tensor> similarities =
      joint_similarities(groups, job.evidence(), data, networks, UnitSimilarity::kCorrelation);
  const std::vector<int64_t> counts = separate(groups);
  std::vector<std::optional<UnitMap>> of_group(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    const int64_t units = groups.units(i);
    if (counts[i] > 0)
      of_group[i] = side_by_side(units, models);
    else if (PartialMerge::can_widen(groups, i))  // of others a unit is no sum of its members'
      of_group[i] =
          zipped_units(zip_units(similarities[i], units, models, {alpha, beta}), units, models);
  }

  StateDict merged;
  for (const std::string& name : job.names()) {
    const LayerInfo* layer = job.evidence().layer(name);
    const int64_t in_axis = !layer ? -1 : layer->in_out ? 0 : 1;
    at::Tensor sum;
    bool means = false;  // of units that the tensor makes
    for (size_t k = 0; k < networks.size(); ++k) {
      at::Tensor own = networks[k].at(name).to(at::kDouble);
      for (const auto& [group, axis] : groups.of(name)) {
        if (!of_group[group]) continue;
        const bool reads = axis->axis == in_axis;
        means |= !reads;
        own = multiplied(reads ? of_group[group]->copy[k].t() : of_group[group]->mean[k], own,
                         *axis, groups.units(group));
      }
      sum = sum.defined() ? sum + own : own;
    }
    merged[name] = (means ? sum : sum / static_cast<double>(models)).to(at::kFloat);
  }
  estimate_moments(job, groups, counts, norm_batch, merged);
  return merged;
}

ASSAY_METHOD(Zipit)

}  // namespace
}  // namespace assay
