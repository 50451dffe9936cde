#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "harness/method/method.h"
#include "harness/method/some_tensors.h"
#include "methods/moe/mixture_gates.h"
#include "methods/moe/mixture_plan.h"
#include "methods/moe/moe_parameters.h"
#include "methods/moe/noise.h"
#include "methods/moe/shared_method.h"

namespace assay {
namespace {

/// A mixture of experts: the feed-forwards of the models become the experts of every block, all
/// other tensors are merged (Branch-Train-MiX) or the base's (as mergekit-moe has it).
struct Moe : MoeParameters {
  static constexpr MethodInfo info{
      .name = "moe",
      .paper = "arXiv:2403.07816 §2",
      .summary = "a mixture of the experts' feed-forwards; all other tensors are merged",
      .needs = {.output = Output::kMixtureOfExperts},
      .randomized = true,
      .identity = "",  // the result is a mixture
      .flops = "what 'shared' takes for all but the feed-forwards, and the router"};
  static constexpr Preset presets[] = {
      {"btx", R"({"base_expert": true})",
       "Branch-Train-MiX before it is fine-tuned: the base is an expert, too, and counts in the "
       "mean"},
      {"mergeme_dare",
       R"({"base_expert": true,
           "shared": {"method": "dare", "drop": 0.2, "scale": 0.3333333333333333}})",
       "MergeME's DARE (arXiv:2502.00997): a random 0.8 of the task vectors, a third of their sum"},
      {"mergeme_ties",
       R"({"base_expert": true,
           "shared": {"method": "ties", "density": 0.8, "trim.scope": "tensor",
                      "reduce": "sum_agree", "scale": 0.3333333333333333}})",
       "MergeME's TIES: 0.8 of each task vector, a third of the sum of what agrees in sign"},
      {"upcycled_base", R"({"rest": "base"})",
       "mergekit-moe's form: whatever is no expert is the base's"},
      {"upcycled", R"({"feed_forwards": "base", "rest": "base"})",
       "sparse upcycling (arXiv:2212.05055) before it is trained: as many copies of the base's "
       "feed-forwards, which give the base whatever the gates are"}};

  Needs needs() const {
    Needs needs = unite(info.needs, router->needs());
    if (rest == Rest::kMerged) needs = unite(needs, shared->needs());
    needs.output = Output::kMixtureOfExperts;
    // Examples are in each expert's own tokens, and the base reads them.
    needs.tokenizer |= router->needs().calibration_inputs;
    needs.base |= base_expert || rest == Rest::kBase || shared_expert == SharedExpert::kBase ||
                  feed_forwards == FeedForwards::kBase;
    if (base_expert) {  // it is one of those that `shared` merges
      needs.min_experts = std::max(1, needs.min_experts - 1);
      if (needs.max_experts < Needs::kAnyNumber) --needs.max_experts;
    }
    return needs;
  }
  bool randomized() const {
    return router->info().randomized || (rest == Rest::kMerged && shared->randomized()) ||
           std::any_of(noise_scales.begin(), noise_scales.end(),
                       [](double scale) { return scale > 0; });
  }
  std::vector<StatisticRef> statistics() const {
    std::vector<StatisticRef> all = router->statistics();
    if (rest == Rest::kMerged)
      for (StatisticRef& one : shared->statistics()) all.push_back(std::move(one));
    return all;
  }
  std::optional<std::string> conflict() const;
  OutputPlan plan(const PlanInputs& models) const;

  Granularity granularity() const {
    return rest == Rest::kMerged ? shared->granularity() : Granularity::kParts;
  }
  int64_t working_bytes(const TensorInfo& tensor) const { return shared->working_bytes(tensor); }
  void prepare(const ModelJob& job);
  std::any measure(const TensorParts& tensor) const {
    return is_shared(tensor.name()) ? shared->measure(tensor) : std::any();
  }
  at::Tensor merge(const TensorJob& job, const std::any& measured) const {
    if (is_shared(job.name)) return shared->merge(job, measured);
    if (is_gate(job.name)) return gate_values(job);
    return mixture_tensor(job.name).kind == Kind::kSlots ? slots(job) : own_tensor(job);
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  using Kind = MixtureTensor::Kind;

  /// Whether `shared` makes this tensor.
  bool is_shared(const std::string& name) const {
    return rest == Rest::kMerged && mixture_tensor(name).kind == Kind::kRest;
  }
  static bool is_gate(const std::string& name) {
    const Kind kind = mixture_tensor(name).kind;
    return kind == Kind::kGate || kind == Kind::kSharedGate;
  }
  const MixtureForm& form_for(const Json& dense) const;
  at::Tensor gate_values(const TensorJob& job) const;
  /// The expert of each row of a gate.
  at::Tensor slots(const TensorJob& job) const;
  /// The tensor of one model, changed as the parameters say.
  at::Tensor own_tensor(const TensorJob& job) const;

  std::map<std::string, at::Tensor> gates_;  ///< by name, float32; those of shared experts, too
};

std::optional<std::string> Moe::conflict() const {
  if (const auto inner = router->conflict()) return fmt::format("router: {}", *inner);
  if (router->rows_per_expert() > 1 && shared_expert != SharedExpert::kNone)
    return "the router has several rows for an expert, and 'shared_expert' is not none, which has "
           "one";
  if (base_expert && router->needs().calibration_inputs)
    return base_has_no_data("router", router->info().name);
  const bool has_shared = shared_expert != SharedExpert::kNone;
  if (has_shared && (form == Form::kMixtral || form == Form::kQwen3Moe))
    return fmt::format(
        "the form {} has no expert that every token is sent to: expected 'shared_expert' none, or "
        "the form deepseek or qwen2_moe",
        form == Form::kMixtral ? "mixtral" : "qwen3_moe");
  if (rest == Rest::kBase) return std::nullopt;
  return shared_conflict(shared, base_expert);
}

const MixtureForm& Moe::form_for(const Json& dense) const {
  constexpr std::string_view kTypes[] = {"", "mixtral", "deepseek", "qwen2_moe", "qwen3_moe"};
  const bool has_shared = shared_expert != SharedExpert::kNone;
  const MixtureForm& made = form == Form::kAuto ? usual_form(dense, has_shared)
                                                : mixture_form(kTypes[static_cast<size_t>(form)]);
  if (has_shared && made.shared.empty())
    throw SkipCell(
        fmt::format("a mixture of the form {} has no expert that every token is sent to "
                    "('shared_expert')",
                    made.type));
  if (!has_shared && made.needs_shared)
    throw SkipCell(
        fmt::format("a mixture of the form {} needs an expert that every token is sent "
                    "to: expected 'shared_expert' base or last",
                    made.type));
  if (made.needs_shared && shared_gate == SharedGate::kRouter &&
      shared_expert == SharedExpert::kBase && router->needs().calibration_inputs)
    throw SkipCell(
        fmt::format("the router {} looks at data of every expert, and the base, which "
                    "is the shared one, has none: expected 'shared_gate' zero",
                    router->info().name));
  return made;
}

OutputPlan Moe::plan(const PlanInputs& models) const {
  MixtureShape shape{.form = form_for(models.config), .routed = {}, .top_k = top_k};
  for (size_t i = 0; i < models.experts.size(); ++i) shape.routed.push_back(i);
  shape.rest = shape.routed;
  if (shared_expert == SharedExpert::kLast) {
    shape.shared = shape.routed.back();
    shape.routed.pop_back();
  } else if (shared_expert == SharedExpert::kBase) {
    shape.shared = TensorView::kBase;
  }
  if (base_expert) {
    shape.routed.push_back(TensorView::kBase);
    shape.rest.push_back(TensorView::kBase);
  }
  if (feed_forwards == FeedForwards::kBase)
    std::fill(shape.routed.begin(), shape.routed.end(), TensorView::kBase);
  if (rest == Rest::kBase) shape.rest = {TensorView::kBase};
  shape.rest_with_base = models.base && rest == Rest::kMerged;
  shape.shared_gate_is_zero = shared_gate == SharedGate::kZero;
  shape.rows_per_expert = router->rows_per_expert();
  if (top_k > static_cast<int64_t>(shape.routed.size()))
    throw SkipCell(fmt::format("moe sends a token to {} experts ('top_k'), and there are {}", top_k,
                               shape.routed.size()));
  return mixture_plan(models, shape);
}

void Moe::prepare(const ModelJob& job) {
  const SomeTensors merged(job, [this](const std::string& name) { return is_shared(name); });
  if (!merged.names().empty()) shared->prepare(merged);
  for (auto& [name, gate] : mixture_gates(job, *router)) gates_[name] = gate;
}

at::Tensor Moe::gate_values(const TensorJob& job) const {
  const at::Tensor& gate = gates_.at(job.name);
  if (granularity() != Granularity::kParts) return gate;
  return gate.flatten().narrow(0, job.offset, job.experts.front().numel());
}

at::Tensor Moe::slots(const TensorJob& job) const {
  const at::Tensor& like = job.experts.front();
  const at::Tensor rows =
      at::arange(job.offset, job.offset + like.numel(), like.options().dtype(at::kFloat));
  return rows.div(router->rows_per_expert(), "floor");
}

at::Tensor Moe::own_tensor(const TensorJob& job) const {
  const MixtureTensor tensor = mixture_tensor(job.name);
  // The base has no entry.
  const auto of_expert = [&](const std::vector<double>& list, double neutral) {
    const bool last = shared_expert == SharedExpert::kLast;
    if (list.empty() || tensor.kind == Kind::kRest) return neutral;
    if (tensor.kind == Kind::kShared) return last ? list.back() : neutral;
    return tensor.expert < list.size() - (last ? 1 : 0) ? list[tensor.expert] : neutral;
  };
  const double noise = of_expert(noise_scales, 0);
  const double scale = tensor.down ? of_expert(residual_scales, 1) : 1;
  at::Tensor values = job.experts.front();
  if (noise > 0) values = values.to(at::kFloat) + noise * normal_numbers(job);
  return scale == 1 ? values : values.to(at::kFloat) * scale;
}

StateDict Moe::merge_model(const ModelJob& job) const {
  StateDict made;
  const SomeTensors merged(job, [this](const std::string& name) { return is_shared(name); });
  if (!merged.names().empty()) made = shared->merge_model(merged);
  for (const std::string& name : job.names())
    if (is_gate(name))
      made[name] = gates_.at(name);
    else if (!is_shared(name))
      made[name] = mixture_tensor(name).kind == Kind::kSlots ? slots(job.tensor(name))
                                                             : own_tensor(job.tensor(name));
  return made;
}

ASSAY_METHOD(Moe)

}  // namespace
}  // namespace assay
