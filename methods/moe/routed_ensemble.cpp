#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/method.h"
#include "harness/method/some_tensors.h"
#include "methods/inner_merge.h"
#include "methods/moe/routed_parameters.h"
#include "methods/moe/routed_plan.h"
#include "methods/moe/sequence_rows.h"
#include "methods/moe/shared_method.h"

namespace assay {
namespace {

/// The models themselves, and a router that decides once for each sequence, by its prompt, which of
/// them answer it (harness/model/routed.h). By default nothing is merged: each answers end to end,
/// and their outputs are mixed.
///
/// MergeME names no mixing level; its presets mix layers on one residual stream, as its figure has
/// it. A router by perplexity or gradients looks at the experts as they came. Of MergeME the tokens
/// after the first count for a prompt's perplexity, the first of which is BOS where the tokenizer
/// adds one. Its task vectors are base minus expert, added; here they are expert minus base, and a
/// member is likely where the loss falls along it.
///
/// Its heterogeneous form mixes hidden states. It does not say how its projectors begin, nor how
/// they look: here they are linear, and keep what a member computes where its width is that of all.
struct RoutedEnsemble : RoutedParameters {
  static constexpr MethodInfo info{
      .name = "routed_ensemble",
      .version = 2,
      .paper = "arXiv:2502.00997 §3.2",
      .summary =
          "the experts side by side; each sequence is answered by those that its prompt "
          "decides for",
      .needs = {.same_shapes = false,
                .same_initialization = false,
                .tokenizer = true,
                .output = Output::kEnsemble},
      .randomized = true,
      .identity = ""};  // the result holds all of them
  static constexpr Preset presets[] = {
      {"mergeme", R"({"base_expert": true, "own": "layers", "mix": "layers"})",
       "MergeME without training: the layers of the two models that find the prompt likeliest; "
       "embedding, norms and head are averaged"},
      {"mergeme_merged_attention",
       R"({"base_expert": true, "own": "feed_forward", "mix": "layers"})",
       "its ablation: attention is averaged, too"},
      {"mergeme_gradient",
       R"({"router": "task_vector_gradient", "base_expert": true, "own": "layers",
           "mix": "layers"})",
       "its appendix: the two models along whose task vectors the prompt's loss falls most"},
      {"mergeme_heterogeneous", R"({"router": "random", "mix": "hidden"})",
       "its form for experts of any widths and depths, before it is fine-tuned: bodies between the "
       "mean of the embeddings and that of the heads"}};

  Needs needs() const {
    Needs needs = info.needs;
    if (merges()) needs = unite(needs, shared->needs());
    needs.output = Output::kEnsemble;
    needs.base |= base_expert || router == Router::kTaskVectorGradient ||
                  (router == Router::kSequenceEmbedding && mix != Mix::kHidden);
    needs.calibration_inputs |= reads_data();
    needs.same_shapes = own != Own::kEverything || router == Router::kTaskVectorGradient;
    if (mix == Mix::kHidden) {  // bodies stay as they are, and have no vocabulary
      needs.same_initialization = false;
      needs.tokenizer = reads_data();  // examples are in each expert's own tokens
    }
    return needs;
  }
  bool randomized() const {
    return router == Router::kRandom || (merges() && shared->randomized()) ||
           (mix == Mix::kHidden && projectors != Projectors::kIdentity);
  }
  std::vector<StatisticRef> statistics() const {
    return merges() ? shared->statistics() : std::vector<StatisticRef>();
  }
  std::optional<std::string> conflict() const;
  OutputPlan plan(const PlanInputs& models) const;

  Granularity granularity() const {
    if (counts_tokens()) return Granularity::kTensors;  // its rows have a shape of their own
    return merges() ? shared->granularity() : Granularity::kParts;
  }
  int64_t working_bytes(const TensorInfo& tensor) const { return shared->working_bytes(tensor); }
  void prepare(const ModelJob& job);
  std::any measure(const TensorParts& tensor) const {
    return is_shared(tensor.name()) ? shared->measure(tensor) : std::any();
  }
  at::Tensor merge(const TensorJob& job, const std::any& measured) const;
  StateDict merge_model(const ModelJob& job) const;

 private:
  Json config(const RoutedPlan& plan, const std::vector<std::string>& names) const;
  /// Whether 'shared' merges some tensors.
  bool merges() const { return own != Own::kEverything || mix == Mix::kHidden; }
  /// Whether the router looks at the experts' examples.
  bool reads_data() const { return router == Router::kSequenceEmbedding || counts_tokens(); }
  bool counts_tokens() const { return router == Router::kTfidf || router == Router::kLogistic; }
  /// Of a tensor of the experts.
  bool keeps(const std::string& name) const {
    return own == Own::kEverything || in_feed_forward(name) ||
           (own == Own::kLayers && in_attention(name));
  }
  /// Of a tensor of the result.
  static bool is_shared(const std::string& name) {
    return !name.starts_with(routed_names::kMembers) && !name.starts_with(routed_names::kRouter) &&
           !is_projector(name);
  }
  static bool is_projector(const std::string& name) {
    return name.starts_with(routed_names::kProjectors);
  }
  StateDict values_of(const ModelJob& job) const;

  StateDict made_;  ///< tensors of which no value is read, of the section that prepare() has seen
};

std::optional<std::string> RoutedEnsemble::conflict() const {
  if (base_expert && reads_data())
    return "parameter 'router' looks at data of every expert, and with 'base_expert' the base is "
           "one that has none";
  const std::string_view name = sequence_router_names()[static_cast<size_t>(router)];
  if (counts_tokens() && own != Own::kEverything)
    return fmt::format(
        "parameter 'router' is {}, which chooses among experts that keep everything, and 'own' is "
        "less",
        name);
  if (ascent && router != Router::kTaskVectorGradient)
    return "parameter 'ascent' is about the router task_vector_gradient, and 'router' is another";
  if (mix == Mix::kLayers && own == Own::kEverything)
    return "parameter 'mix' is layers, between one embedding and one head, and 'own' is everything";
  if (mix == Mix::kHidden && own != Own::kEverything)
    return "parameter 'mix' is hidden, of whole models between one embedding and one head, and "
           "'own' is less than everything";
  if (counts_tokens() && merges() && shared->granularity() == Granularity::kModel)
    return fmt::format(
        "parameter 'router' is {}, and 'shared' is {}, which takes whole models: expected a method "
        "that merges tensor by tensor",
        name, shared->info().name);
  if (!merges()) return std::nullopt;
  return shared_conflict(shared, base_expert);
}

Json RoutedEnsemble::config(const RoutedPlan& plan, const std::vector<std::string>& names) const {
  Json config = parameters_to_json(*this);
  for (const char* key : {"base_expert", "batch", "own", "projectors", "weight_decay"})
    config.erase(key);
  config["model_type"] = "assay_routed";
  config["shared"] = names;
  config["members"] = plan.members();
  config["member"] = plan.member_config();
  if (router == Router::kUniform) config["top_k"] = plan.members();
  return config;
}

OutputPlan RoutedEnsemble::plan(const PlanInputs& models) const {
  std::vector<size_t> members;
  for (size_t i = 0; i < models.experts.size(); ++i) members.push_back(i);
  if (base_expert) members.push_back(TensorView::kBase);
  if (router != Router::kUniform && top_k > static_cast<int64_t>(members.size()))
    throw SkipCell(
        fmt::format("routed_ensemble sends a sequence to {} experts ('top_k'), and there are {}",
                    top_k, members.size()));
  if (!models.config.is_object())
    throw SkipCell(
        "routed_ensemble writes the models' config.json into its own, and there is none");

  RoutedPlan plan(models, std::move(members));
  std::vector<std::string> names;
  plan.add_members();
  if (own != Own::kEverything)
    names = plan.add_shared([this](const std::string& name) { return keeps(name); });
  if (mix == Mix::kHidden) plan.add_hidden();
  if (router == Router::kTaskVectorGradient) plan.add_base();
  if (router == Router::kSequenceEmbedding) plan.add_router_embedding();
  if (router == Router::kSequenceEmbedding || router == Router::kRandom) plan.add_rows();
  if (counts_tokens()) plan.add_token_rows();
  Json json = config(plan, names);
  return {std::move(json), plan.take()};
}

void RoutedEnsemble::prepare(const ModelJob& job) {
  const SomeTensors merged(job, is_shared);
  if (!merged.names().empty()) {
    if (granularity() == Granularity::kTensors)
      shared->prepare(InnerModel(merged));
    else
      shared->prepare(merged);
  }
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  made_ = values_of(job);
}

StateDict RoutedEnsemble::values_of(const ModelJob& job) const {
  const std::string rows = routed_names::of_router(routed_names::kRouterRows);
  StateDict made;
  for (const std::string& name : job.names()) {
    const bool is_rows = name == rows;
    if (!is_rows && !is_projector(name)) continue;
    const at::Tensor like = job.tensor(name).experts.front();
    if (!is_rows)
      made[name] = projector(projectors, job.parts(name), like.sizes());
    else if (router == Router::kRandom)
      made[name] = random_rows(job.parts(name), like.sizes());
    else if (router == Router::kSequenceEmbedding)
      made[name] = embedding_rows(job.evidence().network(), job.num_experts(), batch);
    if (is_rows && counts_tokens()) {
      const Network& network = job.evidence().network();
      Tfidf all = router == Router::kTfidf
                      ? tfidf_rows(network, job.num_experts(), batch)
                      : logistic_rows(network, job.num_experts(), batch, weight_decay);
      made[name] = all.rows;
      made[routed_names::of_router(routed_names::kRouterIdf)] =
          all.idf.to(like.device(), at::kFloat);
    }
    made[name] = made[name].to(like.device(), at::kFloat);
  }
  return made;
}

at::Tensor RoutedEnsemble::merge(const TensorJob& job, const std::any& measured) const {
  const bool parts = granularity() == Granularity::kParts;
  if (const auto made = made_.find(job.name); made != made_.end())
    return parts ? made->second.flatten().narrow(0, job.offset, job.experts.front().numel())
                 : made->second;
  if (!is_shared(job.name)) return job.experts.front();
  if (counts_tokens()) return merge_inner(*shared, job, job.base, job.experts);
  return shared->merge(job, measured);
}

StateDict RoutedEnsemble::merge_model(const ModelJob& job) const {
  StateDict merged = made_;
  const SomeTensors others(job, is_shared);
  if (!others.names().empty()) merged.merge(shared->merge_model(others));
  for (const std::string& name : job.names())
    if (!is_shared(name) && !merged.contains(name)) merged[name] = job.tensor(name).experts.front();
  return merged;
}

ASSAY_METHOD(RoutedEnsemble)

}  // namespace
}  // namespace assay
