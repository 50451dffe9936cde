#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/method/method.h"
#include "methods/inner_merge.h"
#include "methods/permute/matching.h"
#include "methods/permute/permuted_job.h"

namespace assay {
namespace {

/// Git Re-Basin: reorders the units of every expert like those of the first, or of the mean of the
/// others, and lets another method merge what then lies in one basin.
struct GitRebasin {
  enum class By { kWeights, kActivations, kNone };
  enum class Target { kFirst, kMean };

  static constexpr MethodInfo info{
      .name = "git_rebasin",
      .paper = "arXiv:2209.04836 §3",
      .summary = "matches the units of networks of any initialisation, for another method to merge",
      .needs = {.architecture = true, .same_initialization = false},
      .identity = R"({"of": "average"})"};
  static constexpr Preset presets[] = {
      {"activations", R"({"by": "activations"})", "activation matching, by correlation"},
      {"repair", R"({"of": {"method": "repair", "of": "average"}})",
       "with the moments of units restored (arXiv:2211.08403)"},
      {"merge_many", R"({"target": "mean"})",
       "the paper's MergeMany: each model is matched to the mean of the others"}};
  By by = By::kWeights;
  UnitSimilarity similarity = UnitSimilarity::kCorrelation;
  Target target = Target::kFirst;
  bool streams = true;
  int64_t max_sweeps = 100;
  int64_t order = 0;
  int64_t batch = 64;
  MethodComponent of{"average"};

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method that merges the matched experts"});
    p(by,
      {.name = "by",
       .choices = {"weights", "activations", "none"},
       .help = "what units are compared by: their weights, or their activations on the experts' "
               "data; none: they stay as they are, which merges networks of different "
               "initialisations all the same, as a baseline"});
    p(similarity, {.name = "similarity",
                   .choices = {"correlation", "distance", "product"},
                   .help = "of activations: Pearson's correlation, minus the squared distance, or "
                           "the mean product"});
    p(target, {.name = "target",
               .choices = {"first", "mean"},
               .help = "what each expert is matched to: the first one, or the mean of the others, "
                       "in turns until no order changes"});
    p(streams,
      {.name = "streams", .help = "whether the units of residual streams are matched, too"});
    p(max_sweeps,
      {.name = "max_sweeps",
       .range = {1, 10000},
       .help = "of weight matching over all groups of units, and of turns over experts"});
    p(order, {.name = "order",
              .range = {0, 1000000},
              .help = "draws the order in which groups of units are visited, on which the optimum "
                      "that weight matching finds depends"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
  }

  Needs needs() const {
    Needs needs = unite(info.needs, of->needs());
    needs.same_initialization = false;
    needs.calibration_inputs |= by == By::kActivations;
    return needs;
  }
  std::optional<std::string> conflict() const {
    if (const Output output = of->needs().output; output != Output::kSameArchitecture)
      return fmt::format(
          "parameter 'of' is {}, which gives another form of model ({}): expected a method that "
          "gives one model of the inputs' shape",
          of->info().name, output_name(output));
    if (!of->statistics().empty())
      return fmt::format(
          "parameter 'of' is {}, which reads statistics of experts whose units are not yet "
          "matched: expected a method that reads none",
          of->info().name);
    if (by == By::kActivations && target == Target::kMean)
      return "parameter 'target' is mean, which goes with 'by' weights alone";
    return std::nullopt;
  }

  Granularity granularity() const {
    return of->granularity() == Granularity::kModel ? Granularity::kModel : Granularity::kTensors;
  }
  void prepare(const ModelJob& job);
  at::Tensor merge(const TensorJob& job, const std::any& /*measured*/) const {
    const TensorJob matched = PermutedJob::permuted(job, groups_, orders_);
    return merge_inner(*of, matched, matched.base, matched.experts);
  }
  StateDict merge_model(const ModelJob& job) const {
    return of->merge_model(PermutedJob(job, groups_, orders_));
  }

 private:
  Matching match(const ModelJob& job, const StateDict& first, const StateDict& other, size_t expert,
                 std::vector<UnitOrder> start) const;
  void match_to_mean(const ModelJob& job);
  uint64_t order_key(size_t expert) const {
    return stream_key(static_cast<uint64_t>(order), fmt::format("git_rebasin {}", expert));
  }

  UnitGroups groups_;
  std::vector<std::vector<UnitOrder>> orders_;  ///< of each expert; empty: as it is
};

Matching GitRebasin::match(const ModelJob& job, const StateDict& first, const StateDict& other,
                           size_t expert, std::vector<UnitOrder> start) const {
  if (by == By::kWeights)
    return match_weights(groups_, first, other, order_key(expert), max_sweeps, std::move(start));
  return match_activations(
      groups_, activation_similarities(groups_, job.evidence(), matching_data(job, batch), first,
                                       other, similarity));
}

// Algorithm 3 of the paper.
void GitRebasin::match_to_mean(const ModelJob& job) {
  std::vector<StateDict> experts;
  for (size_t i = 0; i < job.num_experts(); ++i) {
    experts.push_back(expert_weights(job, i));
    orders_[i] = groups_.identity();
  }
  const auto others = static_cast<double>(experts.size() - 1);
  bool changed = true;
  for (int64_t turn = 0; changed && turn < max_sweeps; ++turn) {
    changed = false;
    for (size_t i = 0; i < experts.size(); ++i) {
      StateDict mean;
      for (size_t k = 0; k < experts.size(); ++k)
        if (k != i)
          for (const auto& [name, tensor] : experts[k]) {
            const at::Tensor share =
                groups_.reordered(name, tensor, orders_[k]).to(at::kDouble) / others;
            const auto [place, is_new] = mean.emplace(name, share);
            if (!is_new) place->second.add_(share);
          }
      Matching matching = match(job, mean, experts[i], i, orders_[i]);
      changed |= matching.orders != orders_[i];
      orders_[i] = std::move(matching.orders);
    }
  }
}

void GitRebasin::prepare(const ModelJob& job) {
  groups_ = UnitGroups(job, streams, info.name);
  orders_.assign(job.num_experts(), {});
  const TensorParts reports = job.parts(job.names().front());
  if (by == By::kNone) return of->prepare(job);
  if (target == Target::kMean && job.num_experts() > 2) {
    match_to_mean(job);
  } else {
    const StateDict first = expert_weights(job, 0);
    for (size_t i = 1; i < job.num_experts(); ++i) {
      Matching matching = match(job, first, expert_weights(job, i), i, {});
      if (by == By::kWeights) reports.report("sweeps", static_cast<double>(matching.sweeps));
      orders_[i] = std::move(matching.orders);
    }
  }
  of->prepare(PermutedJob(job, groups_, orders_));
}

ASSAY_METHOD(GitRebasin)

}  // namespace
}  // namespace assay
