#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/core/error.h"
#include "harness/method/method.h"
#include "harness/method/router.h"
#include "harness/method/some_tensors.h"
#include "methods/moe/mixtral_form.h"

namespace assay {
namespace {

/// A mixture of experts: the feed-forwards of the models become the experts of every block, all
/// other tensors are merged (Branch-Train-MiX) or the base's (as mergekit-moe has it).
///
/// A gate is planned as rows of the embedding, which have its shape and dtype; its values are the
/// router's.
struct Moe {
  enum class Rest { kMerged, kBase };

  static constexpr MethodInfo info{
      .name = "moe",
      .paper = "arXiv:2403.07816 §2",
      .summary = "a mixture of the experts' feed-forwards; all other tensors are merged",
      .needs = {.output = Output::kMixtureOfExperts},
      .randomized = true,
      .identity = ""};  // the result is a mixture
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
       "mergekit-moe's form: whatever is no expert is the base's"}};
  MethodComponent shared{"average"};
  Rest rest = Rest::kMerged;
  RouterComponent router{"random"};
  int64_t top_k = 2;
  bool base_expert = false;

  void parameters(auto&& p) {
    p(shared, {.name = "shared", .help = "the method that merges all but the feed-forwards"});
    p(rest, {.name = "rest",
             .choices = {"merged", "base"},
             .help = "what is no feed-forward: merged by 'shared', or the base's"});
    p(router, {.name = "router", .help = "what makes the gates"});
    p(top_k, {.name = "top_k",
              .range = {1, 1024},
              .sweep = {1, 2},
              .help = "the experts that a token is sent to"});
    p(base_expert, {.name = "base_expert",
                    .help = "whether the base is one more expert, the last, and takes part in what "
                            "is merged"});
  }

  Needs needs() const {
    Needs needs = unite(info.needs, router->needs());
    if (rest == Rest::kMerged) needs = unite(needs, shared->needs());
    needs.output = Output::kMixtureOfExperts;
    needs.base |= base_expert || rest == Rest::kBase;
    if (base_expert) {  // it is one of those that `shared` merges
      needs.min_experts = std::max(1, needs.min_experts - 1);
      if (needs.max_experts < Needs::kAnyNumber) --needs.max_experts;
    }
    return needs;
  }
  bool randomized() const {
    return router->info().randomized || (rest == Rest::kMerged && shared->randomized());
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
    if (is_gate(job.name)) return gate_values(job);
    return is_shared(job.name) ? shared->merge(job, measured) : job.experts.front();
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  /// Whether `shared` makes this tensor.
  bool is_shared(const std::string& name) const {
    return rest == Rest::kMerged && !is_gate(name) && !is_expert_part(name);
  }
  at::Tensor gate_values(const TensorJob& job) const;

  std::map<std::string, at::Tensor> gates_;  ///< by name, float32
};

std::optional<std::string> Moe::conflict() const {
  if (const auto inner = router->conflict()) return fmt::format("router: {}", *inner);
  if (base_expert && router->needs().calibration_inputs)
    return fmt::format(
        "parameter 'router' is {}, which looks at data of every expert, and with 'base_expert' the "
        "base is one that has none",
        router->info().name);
  if (rest == Rest::kBase) return std::nullopt;
  if (base_expert && (shared->needs().calibration_inputs || !shared->statistics().empty()))
    return fmt::format(
        "parameter 'shared' is {}, which looks at data of every expert, and with 'base_expert' the "
        "base is one that has none",
        shared->info().name);
  if (const Output output = shared->needs().output; output != Output::kSameArchitecture)
    return fmt::format(
        "parameter 'shared' is {}, which gives another form of model ({}): expected a method that "
        "gives one model of the inputs' shape",
        shared->info().name, output_name(output));
  return std::nullopt;
}

OutputPlan Moe::plan(const PlanInputs& models) const {
  std::vector<size_t> experts;
  for (size_t i = 0; i < models.experts.size(); ++i) experts.push_back(i);
  if (base_expert) experts.push_back(TensorView::kBase);
  if (top_k > static_cast<int64_t>(experts.size()))
    throw SkipCell(fmt::format("moe sends a token to {} experts ('top_k'), and there are {}", top_k,
                               experts.size()));
  const std::vector<size_t> others =
      rest == Rest::kBase ? std::vector<size_t>{TensorView::kBase} : experts;
  OutputPlan plan{mixtral_config(models.config, experts.size(), top_k), {}};
  const auto add = [&](std::string name, const std::vector<size_t>& of, const TensorView& view,
                       bool with_base) {
    OutputTensor& tensor = plan.tensors.emplace_back();
    tensor.name = std::move(name);
    for (const size_t model : of) {
      tensor.experts.push_back(view);
      tensor.experts.back().model = model;
    }
    if (!with_base) return;
    tensor.base = view;
    tensor.base->model = TensorView::kBase;
  };

  const TensorSource& reference = models.base ? *models.base : *models.experts.front();
  const TensorInfo& embedding = embedding_of(reference);
  if (embedding.shape.front() < static_cast<int64_t>(experts.size()))
    throw SkipCell(fmt::format("moe takes no more experts than a model has tokens: {} of {}",
                               experts.size(), embedding.shape.front()));
  const TensorView gate_rows{.tensor = embedding.name,
                             .rows = static_cast<int64_t>(experts.size())};
  const bool merges_with_base = models.base && rest == Rest::kMerged;
  std::set<std::string> blocks;
  for (const TensorInfo& tensor : reference.tensors()) {
    const auto part = feed_forward_part(tensor.name);
    if (!part) {
      add(tensor.name, others, {.tensor = tensor.name}, merges_with_base);
      continue;
    }
    for (size_t i = 0; i < experts.size(); ++i)
      add(expert_part_name(*part, i), {experts[i]}, {.tensor = tensor.name}, false);
    if (blocks.insert(part->block).second)
      add(gate_name(part->block), others, gate_rows, merges_with_base);
  }
  if (blocks.empty())
    throw SkipCell(fmt::format(
        "moe makes mixtures of models with Llama's names, and {} has no 'mlp.gate_proj.weight'",
        reference.label()));
  return plan;
}

void Moe::prepare(const ModelJob& job) {
  const SomeTensors gates(job, is_gate, /*network=*/true);
  const SomeTensors merged(job, [this](const std::string& name) { return is_shared(name); });
  if (!merged.names().empty()) shared->prepare(merged);
  if (gates.names().empty()) return;

  const SomeTensors seen(
      job, [](const std::string& name) { return !is_expert_part(name); }, /*network=*/true);
  RouterJob routed{seen, gates.names()};
  // By blocks: "layers.2." before "layers.10.".
  std::sort(routed.gates.begin(), routed.gates.end(), [](const auto& a, const auto& b) {
    return std::pair(a.size(), a) < std::pair(b.size(), b);
  });
  const at::Tensor rows = job.tensor(routed.gates.front()).experts.front();
  routed.experts = static_cast<size_t>(rows.size(0));
  routed.width = rows.size(1);
  const std::vector<at::Tensor> made = router->gates(routed);
  for (size_t i = 0; i < routed.gates.size(); ++i) {
    if (i >= made.size() || !made[i].defined() || made[i].sizes() != rows.sizes())
      data_error("the router {} made no gate of shape {} for '{}'", router->info().name,
                 shape_text(rows.sizes()), routed.gates[i]);
    gates_[routed.gates[i]] = made[i].to(rows.device(), at::kFloat);
  }
}

at::Tensor Moe::gate_values(const TensorJob& job) const {
  const at::Tensor& gate = gates_.at(job.name);
  if (granularity() != Granularity::kParts) return gate;
  return gate.flatten().narrow(0, job.offset, job.experts.front().numel());
}

StateDict Moe::merge_model(const ModelJob& job) const {
  StateDict made;
  const SomeTensors merged(job, [this](const std::string& name) { return is_shared(name); });
  if (!merged.names().empty()) made = shared->merge_model(merged);
  for (const std::string& name : job.names())
    if (is_gate(name))
      made[name] = gates_.at(name);
    else if (!is_shared(name))
      made[name] = job.tensor(name).experts.front();
  return made;
}

ASSAY_METHOD(Moe)

}  // namespace
}  // namespace assay
