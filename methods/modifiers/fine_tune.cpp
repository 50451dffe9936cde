#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>
#include <set>

#include "harness/core/error.h"
#include "methods/globs.h"
#include "methods/learned/fine_tuning.h"
#include "methods/moe/mixture_layers.h"
#include "methods/whole_result.h"

namespace assay {
namespace {

/// Trains what another method makes, on the experts' own examples, for a budget of tokens: first
/// the routers of a mixture, then everything (MergeME, Branch-Train-MiX, sparse upcycling), or what
/// a merge of experts left, to recover what it lost (M-SMoE). Of a routed ensemble each example
/// trains the members that its prompt decides for, and what lies around them; routers of sequences
/// have no gradient.
struct FineTune {
  enum class Schedule { kConstant, kLinear };
  enum class Teacher { kExperts, kReference };

  static constexpr MethodInfo info{
      .name = "fine_tune",
      .version = 2,
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
      {"mergeme", R"({"of": "moe@mergeme_dare", "learning_rate": 1e-5})",
       "MergeME with fine-tuning: DARE, everything is trained"},
      {"mergeme_heterogeneous",
       R"({"of": "routed_ensemble@mergeme_heterogeneous", "learning_rate": 1e-5})",
       "its form for experts of any widths and depths, with fine-tuning: projectors, embedding, "
       "head and bodies are trained; the router is by chance, unless 'of' names another"},
      {"upcycling", R"({"of": "moe@upcycled", "balance": 0.01})",
       "sparse upcycling (arXiv:2212.05055): copies of the base's feed-forwards"}};
  MethodComponent of{"moe"};
  int64_t router_tokens = 0, tokens = 4096;
  std::vector<std::string> train{"*"};
  FineTuning how{.method = "fine_tune"};
  Schedule schedule = Schedule::kLinear;
  Teacher teacher = Teacher::kExperts;
  int64_t top_k = 128;
  int64_t routing = 0;

  void parameters(auto&& p) {
    p(of, {.name = "of",
           .help = "the method whose result is trained; it may give any model that "
                   "is not divided by tasks"});
    p(router_tokens,
      {.name = "router_tokens",
       .range = {0, 1e12},
       .help = "the budget of a first stage, in which the routers of a mixture alone "
               "are trained: rows of scores that the loss looks at, of language "
               "models tokens of answers"});
    p(tokens, {.name = "tokens",
               .range = {0, 1e12},
               .sweep = {0, 16384, 65536},
               .help = "the budget of the stage after it; with both 0 the result stays as it is"});
    p(train,
      {.name = "train", .help = "globs of the tensors of the result that the second stage trains"});
    p(how.learning_rate,
      {.name = "learning_rate", .range = {0, 1}, .sweep = {1e-4, 3e-4, 1e-3}, .help = "AdamW's"});
    p(schedule, {.name = "schedule",
                 .choices = {"constant", "linear"},
                 .help = "whether the learning rate stays, or falls to 0 over each stage"});
    p(how.weight_decay, {.name = "weight_decay", .range = {0, 1}, .help = "AdamW's"});
    p(how.clip_norm, {.name = "clip_norm",
                      .range = {0, 1e6},
                      .help = "the largest norm of the gradient, to which it is scaled; 0: none"});
    p(how.batch, {.name = "batch",
                  .range = {1, 4096},
                  .help = "examples of every expert in a step, which all count alike"});
    p(how.balance, {.name = "balance",
                    .range = {0, 100},
                    .help = "of a mixture: the factor of Branch-Train-MiX's load balancing, over "
                            "the tokens of a step, summed over blocks"});
    p(routing, {.name = "routing",
                .range = {0, 4096},
                .help = "the experts that a token is sent to while a mixture is trained: 1, 2, or "
                        "all of them (soft routing); 0: as many as when it runs"});
    p(how.distillation, {.name = "distillation",
                         .range = {0, 1000},
                         .help = "weight of the KL divergence from a teacher, times the squared "
                                 "temperature; the mean over rows"});
    p(how.temperature, {.name = "temperature",
                        .range = {1e-3, 1000},
                        .help = "of the softmax over both scores in it"});
    p(teacher, {.name = "teacher",
                .choices = {"experts", "reference"},
                .help = "each expert on its own examples, which is the whole mixture where experts "
                        "of one are merged; or the base, and the first expert without one"});
    p(top_k, {.name = "top_k",
              .range = {0, 1 << 20},
              .help = "how many of a teacher's highest scores count in each row; 0: all"});
    p(how.keep_equal, {.name = "keep_equal",
                       .help = "whether tensors that are equal before stay equal, as copies of a "
                               "merged expert and of a tied head are to"});
  }

  std::optional<std::string> conflict() const {
    const Output output = of->needs().output;
    if (output == Output::kModelPerTask)
      return fmt::format(
          "parameter 'of' is {}, which gives {}: expected a method whose result is one model",
          of->info().name, output_name(output));
    if (output == Output::kEnsemble && (router_tokens > 0 || how.balance > 0 || routing > 0))
      return fmt::format(
          "parameters 'router_tokens', 'balance' and 'routing' are about the routers of a mixture, "
          "and 'of' is {}, which gives a routed ensemble",
          of->info().name);
    return std::nullopt;
  }
  Needs needs() const {
    Needs needs = unite(info.needs, of->needs());
    needs.output = of->needs().output;
    if (needs.output == Output::kEnsemble) {
      needs.same_shapes = of->needs().same_shapes;
      needs.same_initialization = of->needs().same_initialization;
      needs.tokenizer = true;  // examples are in each expert's own tokens
    }
    return needs;
  }
  bool randomized() const { return of->randomized(); }
  std::vector<StatisticRef> statistics() const {
    std::vector<StatisticRef> all = of->statistics();
    if (how.distillation > 0 && teacher == Teacher::kExperts)
      all.push_back({"expert_logits", {{"top_k", top_k}}});
    return all;
  }
  std::optional<OutputPlan> plan(const PlanInputs& models) const {
    result_ = WholeResult(*of, models);
    experts_ = models.experts.size();
    return result_.plan();
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  std::unique_ptr<const Network> network_of_result(const Evidence& evidence,
                                                   const StateDict& model) const;
  std::set<std::string> routers_of(const StateDict& model) const;

  // Of the models that plan() was called with, before each merge: a job of planned tensors does not
  // tell which of its models a tensor is made of.
  mutable WholeResult result_;
  mutable size_t experts_ = 0;
};

std::unique_ptr<const Network> FineTune::network_of_result(const Evidence& evidence,
                                                           const StateDict& model) const {
  const std::optional<OutputPlan> plan = result_.plan();
  if (!plan) return nullptr;
  Json config = plan->config_of ? plan->config_of(model) : plan->config;
  constexpr const char* kPerToken = "num_experts_per_tok";
  if (routing > 0) {
    if (!config.is_object() || !config.contains(kPerToken))
      throw SkipCell(fmt::format("the result of {} has no '{}' for the parameter 'routing'",
                                 of->info().name, kPerToken));
    config[kPerToken] = routing;
  }
  return evidence.network_of(config);
}

std::set<std::string> FineTune::routers_of(const StateDict& model) const {
  std::vector<std::string> names;
  for (const auto& [name, unused] : model) names.push_back(name);
  std::set<std::string> routers;
  for (const MixtureLayer& layer : mixture_layers(names, info.name)) routers.insert(layer.router);
  if (routers.empty())
    throw SkipCell(fmt::format(
        "the result of {} has no routers for the parameters 'router_tokens' and 'balance'",
        of->info().name));
  return routers;
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
  std::set<std::string> routers;
  if (router_tokens > 0 || how.balance > 0) routers = routers_of(model);
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
    return highest(dense.logits({}, expert, batch.first, batch.count), top_k);
  };
  FineTuned tuned = fine_tuned(
      model, made ? *made : dense, experts_,
      {{router_tokens, [&](const std::string& tensor) { return routers.contains(tensor); }},
       {tokens, [&](const std::string& tensor) { return matches_any(train, tensor); }}},
      training);
  const TensorParts reports = job.parts(job.names().front());
  reports.report("trained_tokens", static_cast<double>(tuned.tokens));
  reports.report("trained_parameters", static_cast<double>(tuned.parameters));
  reports.report("parameters_times_tokens", tuned.parameter_tokens);
  reports.report("loss_first", tuned.loss_first);
  reports.report("loss_last", tuned.loss_last);
  return std::move(tuned.weights);
}

ASSAY_METHOD(FineTune)

}  // namespace
}  // namespace assay
