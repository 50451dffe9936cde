#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <memory>
#include <set>

#include "harness/core/error.h"
#include "harness/core/glob.h"
#include "methods/modifiers/fine_tune_parameters.h"
#include "methods/moe/fewer_experts.h"
#include "methods/whole_result.h"

namespace assay {
namespace {

/// Trains what another method makes, on the experts' own examples, for a budget of tokens: first
/// the routers of a mixture, then everything (MergeME, Branch-Train-MiX, sparse upcycling), or what
/// a merge of experts left, to recover what it lost (M-SMoE). A mixture may lose experts meanwhile
/// (task-specific pruning). Of a routed ensemble each example trains the members that its prompt
/// decides for, and what lies around them; routers of sequences have no gradient.
struct FineTune : FineTuneParameters {
  static constexpr MethodInfo info{
      .name = "fine_tune",
      .version = 4,  // texts go through the network by length
      .paper = "arXiv:2502.00997 §3, arXiv:2403.07816 §2.2",
      .summary = "trains what another method makes, for a budget of tokens",
      .needs = {.calibration_inputs = true,
                .calibration_labels = true,
                .gradients = true,
                .output = Output::kMixtureOfExperts},
      .randomized = true,
      .own_moments = true,
      .identity = R"({"of": "average", "tokens": 0})",
      .flops = "what 'of' takes, and the tokens through the result and back"};
  static constexpr Preset presets[] = {
      {"btx", R"({"of": "moe@btx", "balance": 0.01})",
       "Branch-Train-MiX: the mean of what is no feed-forward, and load balancing"},
      {"btx_switch",
       R"({"of": {"method": "moe@btx", "form": "deepseek", "top_k": 1}, "balance": 0.01})",
       "its Switch routing, without a capacity: to one expert, whose weight is its probability"},
      {"btx_sampled", R"({"of": {"method": "moe@btx", "top_k": 1}, "sampling": "gumbel"})",
       "its sampled routing: to one expert that is drawn, to the one scored highest when it runs"},
      {"mergeme", R"({"of": "moe@mergeme_dare", "learning_rate": 1e-5})",
       "MergeME with fine-tuning: DARE, everything is trained"},
      {"mergeme_heterogeneous",
       R"({"of": "routed_ensemble@mergeme_heterogeneous", "learning_rate": 1e-5})",
       "its form for experts of any widths and depths, with fine-tuning: projectors, embedding, "
       "head and bodies are trained; the router is by chance, unless 'of' names another"},
      {"upcycling", R"({"of": "moe@upcycled", "balance": 0.01})",
       "sparse upcycling (arXiv:2212.05055): copies of the base's feed-forwards"}};

  std::optional<std::string> conflict() const;
  Needs needs() const {
    Needs needs = unite(info.needs, of->needs());
    needs.output = prune.left > 0 ? Output::kMixtureOfExperts : of->needs().output;
    if (needs.output == Output::kEnsemble) {
      needs.same_shapes = of->needs().same_shapes;
      needs.same_initialization = of->needs().same_initialization;
      needs.tokenizer = true;  // examples are in each expert's own tokens
    }
    return needs;
  }
  bool randomized() const { return of->randomized() || sampling != Sampling::kNone; }
  std::vector<StatisticRef> statistics() const {
    std::vector<StatisticRef> all = of->statistics();
    if (how.distillation > 0 && teacher == Teacher::kExperts)
      all.push_back({"expert_logits", {{"top_k", top_k}}});
    return all;
  }
  std::optional<OutputPlan> plan(const PlanInputs& models) const {
    result_ = WholeResult(*of, models);
    experts_ = models.experts.size();
    config_ = models.config;
    std::optional<OutputPlan> plan = result_.plan();
    if (prune.left == 0) return plan;
    return plan_fewer(plan ? std::move(*plan) : same_tensors(models), prune.left, info.name);
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  std::unique_ptr<const Network> network_of_result(const Evidence& evidence,
                                                   const StateDict& model) const;
  std::vector<MixtureLayer> layers_of(const StateDict& model) const;

  // Of the models that plan() was called with, before each merge: a job of planned tensors does not
  // tell which of its models a tensor is made of.
  mutable WholeResult result_;
  mutable size_t experts_ = 0;
  mutable Json config_;  ///< of the reference
};

std::optional<std::string> FineTune::conflict() const {
  if (sampling != Sampling::kNone && routing > 1)
    return "parameter 'sampling' sends a token to one expert: expected 'routing' 0 or 1";
  if (prune.left > 0 && tokens == 0)
    return "parameter 'prune' drops experts in the second stage: expected 'tokens' above 0";
  if (prune.left > 0 && sampling != Sampling::kNone)
    return "parameter 'prune' goes with 'sampling' none, as usage is of what the router chooses";
  if (prune.left > 0 && how.balance > 0)
    return "parameter 'balance' evens out the usage by which 'prune' drops experts: expected one "
           "of them to be 0";
  if (prune.left > 0 && routing > prune.left)
    return "parameter 'routing' sends a token to more experts than 'prune' leaves";
  const Output output = of->needs().output;
  if (output == Output::kModelPerTask)
    return fmt::format(
        "parameter 'of' is {}, which gives {}: expected a method whose result is one model",
        of->info().name, output_name(output));
  if (output == Output::kEnsemble && (router_tokens > 0 || how.balance > 0 || routing > 0 ||
                                      sampling != Sampling::kNone || prune.left > 0))
    return fmt::format(
        "parameters 'router_tokens', 'balance', 'routing', 'sampling' and 'prune' are about the "
        "routers of a mixture, and 'of' is {}, which gives a routed ensemble",
        of->info().name);
  return std::nullopt;
}

std::unique_ptr<const Network> FineTune::network_of_result(const Evidence& evidence,
                                                           const StateDict& model) const {
  const std::optional<OutputPlan> plan = result_.plan();
  if (!plan && routing == 0) return nullptr;
  Json config = !plan ? config_ : plan->config_of ? plan->config_of(model) : plan->config;
  constexpr const char* kPerToken = "num_experts_per_tok";
  if (routing > 0) {
    if (!config.is_object() || !config.contains(kPerToken))
      throw SkipCell(fmt::format("the result of {} has no '{}' for the parameter 'routing'",
                                 of->info().name, kPerToken));
    config[kPerToken] = routing;
  }
  return evidence.network_of(config);
}

std::vector<MixtureLayer> FineTune::layers_of(const StateDict& model) const {
  if (router_tokens == 0 && how.balance == 0 && sampling == Sampling::kNone && prune.left == 0)
    return {};
  std::vector<std::string> names;
  for (const auto& [name, unused] : model) names.push_back(name);
  std::vector<MixtureLayer> layers = mixture_layers(names, info.name);
  if (layers.empty())
    throw SkipCell(
        fmt::format("the result of {} has no routers for the parameters 'router_tokens', "
                    "'balance', 'sampling' and 'prune'",
                    of->info().name));
  return layers;
}

StateDict FineTune::merge_model(const ModelJob& job) const {
  StateDict model;
  {
    const c10::NoGradGuard no_gradients;
    model = result_.make(of, job);
  }
  if (tokens == 0 && router_tokens == 0) return model;
  const Evidence& evidence = job.evidence();
  const Network& dense = evidence.network();
  const std::vector<MixtureLayer> layers = layers_of(model);
  std::set<std::string> routers;
  for (const MixtureLayer& layer : layers) routers.insert(layer.router);
  const std::unique_ptr<const Network> made = network_of_result(evidence, model);

  FineTuning training = how;
  training.decay = schedule == Schedule::kLinear;
  std::vector<CachedScores> cached;
  if (how.distillation > 0 && teacher == Teacher::kExperts)
    for (size_t i = 0; i < experts_; ++i)
      cached.emplace_back(evidence.statistic({"expert_logits", {{"top_k", top_k}}}, i),
                          dense.examples(i));
  training.teacher = [&](size_t expert, ExampleBatch batch, at::Device device) {
    if (!cached.empty()) return cached[expert].read(batch, device);
    const c10::NoGradGuard no_gradients;
    return highest(dense.logits_by_length({}, expert, batch.first, batch.count), top_k);
  };
  const TensorParts reports = job.parts(job.names().front());
  SampledRoutes sampled(annealing, reports.expert_key(0));
  DroppingRoutes dropping(layers, prune);
  TrainingRoutes* const drawn = sampling == Sampling::kGumbel ? &sampled : nullptr;
  FineTuned tuned = fine_tuned(
      model, made ? *made : dense, experts_,
      {{router_tokens, [&](const std::string& tensor) { return routers.contains(tensor); }, drawn},
       {tokens, [&](const std::string& tensor) { return matches_any(train, tensor); },
        prune.left > 0 ? &dropping : drawn}},
      training);
  reports.report("trained_tokens", static_cast<double>(tuned.tokens));
  reports.report("trained_parameters", static_cast<double>(tuned.parameters));
  reports.report("parameters_times_tokens", tuned.parameter_tokens);
  reports.report("loss_first", tuned.loss_first);
  reports.report("loss_last", tuned.loss_last);
  if (prune.left == 0) return std::move(tuned.weights);
  StateDict left = tuned.weights;
  for (const MixtureLayer& layer : layers)
    keep_experts(layer, dropping.left(layer.router), tuned.weights, left);
  return left;
}

ASSAY_METHOD(FineTune)

}  // namespace
}  // namespace assay
