#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/core/rng.h"
#include "harness/method/method.h"
#include "methods/inner_merge.h"
#include "methods/permute/matched_evidence.h"
#include "methods/permute/matching.h"
#include "methods/permute/permuted_job.h"
#include "methods/permute/straight_through.h"
#include "methods/permute/universe.h"

namespace assay {
namespace {

/// Git Re-Basin: reorders the units of every expert like those of the first, or of the mean of the
/// others, or into a space of their own, and lets another method merge what then lies in one basin.
struct GitRebasin {
  enum class By { kWeights, kActivations, kBoth, kGradients, kNone };
  enum class Target { kFirst, kMean, kUniverse };

  static constexpr MethodInfo info{
      .name = "git_rebasin",
      .paper = "arXiv:2209.04836 §3",
      .summary = "matches the units of networks of any initialisation, for another method to merge",
      .needs = {.architecture = true, .same_initialization = false},
      .own_moments = true,
      .identity = R"({"of": "average"})",
      .flops =
          "by weights (N - 1) 2 u d for each axis of a tensor of d values that has u units, once and "
          "whenever the order of another of its axes changed, in a universe in each iteration 7 N "
          "2 u d for tensors of two axes; and what 'of' takes"};
  static constexpr Preset presets[] = {
      {"activations", R"({"by": "activations"})", "activation matching, by correlation"},
      {"mudsc", R"({"by": "both", "places": "last"})",
       "MuDSC's permutation: weights and activations count alike (arXiv:2403.01753; zipit@mudsc "
       "is its zip)"},
      {"straight_through", R"({"by": "gradients"})",
       "by the loss of the mean, through a straight-through estimator"},
      {"repair", R"({"of": {"method": "repair", "of": "average"}})",
       "with the moments of units restored (arXiv:2211.08403)"},
      {"merge_many", R"({"target": "mean"})",
       "the paper's MergeMany: each model is matched to the mean of the others"},
      {"c2m3", R"({"target": "universe"})",
       "C2M3: all models are matched at once, into a space of none (arXiv:2405.17897)"}};
  By by = By::kWeights;
  UnitSimilarity similarity = UnitSimilarity::kCorrelation;
  UnitPlaces places = UnitPlaces::kAll;
  double balance = 0.5;
  Target target = Target::kFirst;
  UniverseStep step = UniverseStep::kTogether;
  bool streams = true;
  int64_t max_sweeps = 100;
  int64_t order = 0;
  int64_t batch = 64;
  int64_t steps = 250;
  double learning_rate = 1e-2;
  MethodComponent of{"average"};

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method that merges the matched experts"});
    p(by,
      {.name = "by",
       .choices = {"weights", "activations", "both", "gradients", "none"},
       .help = "what units are compared by: their weights, their activations on the experts' "
               "data, the correlations of both, or weights that change by the gradient of the "
               "mean's loss, for networks without BatchNorm; none: they stay as they are, which "
               "merges networks of different initialisations all the same, as a baseline"});
    p(similarity, {.name = "similarity",
                   .choices = {"correlation", "distance", "product"},
                   .help = "of activations: Pearson's correlation, minus the squared distance, or "
                           "the mean product"});
    p(places, {.name = "places",
               .choices = {"all", "last"},
               .help = "where activations are compared: wherever a layer reads or gives the units, "
                       "or where the last layer that reads them does"});
    p(balance, {.name = "balance",
                .range = {0, 1},
                .help = "of 'by' both: what weights count; activations count the rest"});
    p(target, {.name = "target",
               .choices = {"first", "mean", "universe"},
               .help = "what each expert is matched to: the first one; the mean of the others, in "
                       "turns until no order changes; or all others at once, in a space of none"});
    p(step, {.name = "step",
             .choices = {"together", "in_turns"},
             .help = "of 'target' universe: whether the orders of all experts move at once, as "
                     "published, or one expert's after the other's"});
    p(streams,
      {.name = "streams", .help = "whether the units of residual streams are matched, too"});
    p(max_sweeps,
      {.name = "max_sweeps",
       .range = {1, 10000},
       .help = "of weight matching over all groups of units, of turns over experts, and of "
               "iterations in a universe"});
    p(order, {.name = "order",
              .range = {0, 1000000},
              .help = "draws the order in which groups of units are visited, on which the optimum "
                      "that weight matching finds depends"});
    p(batch, {.name = "batch",
              .range = {1, 4096},
              .help = "examples in a forward pass, of 'by' gradients those of each expert"});
    p(steps, {.name = "steps", .range = {1, 100000}, .help = "of 'by' gradients"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 10},
                      .help = "of 'by' gradients: of SGD with momentum 0.9"});
  }

  Needs needs() const {
    Needs needs = unite(info.needs, of->needs());
    needs.same_initialization = false;
    needs.calibration_inputs |= needs_data();
    needs.calibration_labels |= by == By::kGradients;
    needs.gradients |= by == By::kGradients;
    return needs;
  }
  std::optional<std::string> conflict() const {
    if (auto conflict = form_conflict("of", *of)) return conflict;
    if (const auto unmatched = unmatched_statistic(of->statistics()))
      return fmt::format("parameter 'of' is {}, which {}", of->info().name, *unmatched);
    if (by == By::kBoth && similarity != UnitSimilarity::kCorrelation)
      return "parameter 'by' is both, which adds up correlations: 'similarity' can only be that";
    if (needs_data() && target != Target::kFirst)
      return fmt::format("parameter 'target' is {}, which goes with 'by' weights alone",
                         target == Target::kMean ? "mean" : "universe");
    return std::nullopt;
  }

  Granularity granularity() const {
    return of->granularity() == Granularity::kModel ? Granularity::kModel : Granularity::kTensors;
  }
  void prepare(const ModelJob& job);
  at::Tensor merge(const TensorJob& job, const std::any& /*measured*/) const {
    const TensorJob matched = PermutedJob::permuted(job, groups_, orders_, *matched_);
    return merge_inner(*of, matched, matched.base, matched.experts);
  }
  StateDict merge_model(const ModelJob& job) const {
    return of->merge_model(PermutedJob(job, groups_, orders_, *matched_));
  }

 private:
  bool needs_data() const { return by != By::kWeights && by != By::kNone; }
  Matching match(const ModelJob& job, const StateDict& first, const StateDict& other, size_t expert,
                 std::vector<UnitOrder> start) const;
  void match_to_mean(const ModelJob& job);
  void match_together(const ModelJob& job, const TensorParts& reports);
  uint64_t order_key(size_t expert) const {
    return stream_key(static_cast<uint64_t>(order), fmt::format("git_rebasin {}", expert));
  }

  UnitGroups groups_;
  std::vector<std::vector<UnitOrder>> orders_;  ///< of each expert; empty: as it is
  std::shared_ptr<const Evidence> matched_;     ///< of experts in these orders
};

Matching GitRebasin::match(const ModelJob& job, const StateDict& first, const StateDict& other,
                           size_t expert, std::vector<UnitOrder> start) const {
  if (by == By::kWeights)
    return match_weights(groups_, first, other, order_key(expert), max_sweeps, std::move(start));
  if (by == By::kGradients)
    return match_by_gradients(
        groups_, job, first, other, order_key(expert),
        {.steps = steps, .learning_rate = learning_rate, .batch = batch, .max_sweeps = max_sweeps});
  std::vector<at::Tensor> similarities = activation_similarities(
      groups_, job.evidence(), matching_data(job, batch), first, other, similarity, places);
  if (by == By::kBoth)
    return match_both(groups_, first, other, similarities, balance, order_key(expert), max_sweeps);
  return match_activations(groups_, std::move(similarities));
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

void GitRebasin::match_together(const ModelJob& job, const TensorParts& reports) {
  std::vector<StateDict> experts;
  for (size_t i = 0; i < job.num_experts(); ++i) experts.push_back(expert_weights(job, i));
  UniverseMatching matching = match_in_universe(groups_, experts, step, max_sweeps);
  reports.report("iterations", static_cast<double>(matching.iterations));
  orders_ = std::move(matching.orders);
}

void GitRebasin::prepare(const ModelJob& job) {
  groups_ = UnitGroups(job, streams, info.name);
  orders_.assign(job.num_experts(), {});
  const TensorParts reports = job.parts(job.names().front());
  matched_ = std::make_shared<MatchedEvidence>(job.evidence(), groups_, orders_);
  if (by == By::kNone) return of->prepare(job);
  if (target == Target::kUniverse) {
    match_together(job, reports);
  } else if (target == Target::kMean && job.num_experts() > 2) {
    match_to_mean(job);
  } else {
    const StateDict first = expert_weights(job, 0);
    for (size_t i = 1; i < job.num_experts(); ++i) {
      Matching matching = match(job, first, expert_weights(job, i), i, {});
      if (matching.sweeps > 0) reports.report("sweeps", static_cast<double>(matching.sweeps));
      orders_[i] = std::move(matching.orders);
    }
  }
  of->prepare(PermutedJob(job, groups_, orders_, *matched_));
}

ASSAY_METHOD(GitRebasin)

}  // namespace
}  // namespace assay
