#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/method.h"
#include "harness/method/some_tensors.h"
#include "methods/moe/mixture_plan.h"
#include "methods/moe/sequence_rows.h"
#include "methods/moe/shared_method.h"

namespace assay {
namespace {

constexpr const char* kEmbedding = "router.embedding.weight";
constexpr const char* kIdf = "router.idf.weight";
constexpr const char* kRows = "router.rows.weight";

/// The models themselves, and a router that decides once for each sequence, by its prompt, which of
/// them answer it (harness/model/routed.h). By default nothing is merged: each answers end to end,
/// and their outputs are mixed.
///
/// MergeME names no mixing level; its presets mix layers on one residual stream, as its figure has
/// it. A router by perplexity or gradients looks at the experts as they came. Of MergeME the tokens
/// after the first count for a prompt's perplexity, the first of which is BOS where the tokenizer
/// adds one. Its task vectors are base minus expert, added; here they are expert minus base, and a
/// member is likely where the loss falls along it.
struct RoutedEnsemble {
  enum class Router {
    kPerplexity,
    kTaskVectorGradient,
    kSequenceEmbedding,
    kTfidf,
    kRandom,
    kUniform
  };
  enum class Mix { kProbabilities, kLogits, kLayers };
  enum class Own { kEverything, kLayers, kFeedForward };

  static constexpr MethodInfo info{
      .name = "routed_ensemble",
      .paper = "arXiv:2502.00997 §3.2",
      .summary =
          "the experts side by side; each sequence is answered by those that its prompt "
          "decides for",
      .needs = {.same_initialization = false, .tokenizer = true, .output = Output::kEnsemble},
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
       "its appendix: the two models along whose task vectors the prompt's loss falls most"}};
  Router router = Router::kPerplexity;
  int64_t top_k = 2;
  double temperature = 1;
  Mix mix = Mix::kProbabilities;
  Own own = Own::kEverything;
  MethodComponent shared{"average"};
  bool ascent = false;
  int64_t opening = 32;
  bool base_expert = false;
  int64_t batch = 256;

  void parameters(auto&& p) {
    p(router,
      {.name = "router",
       .choices = {"perplexity", "task_vector_gradient", "sequence_embedding", "tfidf", "random",
                   "uniform"},
       .help = "what decides by a prompt: 1 / its perplexity under each expert; the cosine of task "
               "vectors and the gradient of the base's loss on it; that of its mean embedding and "
               "those of the experts' examples; that of its counts of tokens, weighted by their "
               "inverse document frequency; chance; or all experts answer alike"});
    p(top_k, {.name = "top_k",
              .range = {1, 1024},
              .sweep = {1, 2},
              .help = "the experts that answer a sequence; all, of uniform"});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .sweep = {0.01, 0.1, 1},
                    .help = "divides the router's scores before the softmax over those that "
                            "answer; they lie in [-1, 1], so that shares at 1 are much alike"});
    p(mix, {.name = "mix",
            .choices = {"probabilities", "logits", "layers"},
            .help = "what of those that answer is summed by their shares: their probabilities, "
                    "their log probabilities, which are then normalised, or what their layers add "
                    "to one residual stream"});
    p(own, {.name = "own",
            .choices = {"everything", "layers", "feed_forward"},
            .help = "what an expert keeps to itself when it answers: all, its attention and "
                    "feed-forwards, or its feed-forwards; the rest is merged by 'shared'"});
    p(shared, {.name = "shared", .help = "the method that merges what experts do not keep"});
    p(ascent, {.name = "ascent",
               .help = "task_vector_gradient compares with the direction in which the loss rises, "
                       "as MergeME's formula reads with experts minus base"});
    p(opening, {.name = "opening",
                .range = {1, 1 << 20},
                .help = "of a text without a prompt, as for its perplexity: the tokens at its "
                        "beginning that all experts answer alike, and that decide about the rest"});
    p(base_expert,
      {.name = "base_expert", .help = "whether the base is one more expert, the last"});
    p(batch, {.name = "batch",
              .range = {1, 4096},
              .help = "examples that sequence_embedding reads at a time"});
  }

  Needs needs() const {
    Needs needs = info.needs;
    if (own != Own::kEverything) needs = unite(needs, shared->needs());
    needs.output = Output::kEnsemble;
    needs.base |= base_expert || router == Router::kTaskVectorGradient || reads_data();
    needs.calibration_inputs |= reads_data();
    return needs;
  }
  bool randomized() const {
    return router == Router::kRandom || (own != Own::kEverything && shared->randomized());
  }
  std::vector<StatisticRef> statistics() const {
    return own == Own::kEverything ? std::vector<StatisticRef>() : shared->statistics();
  }
  std::optional<std::string> conflict() const;
  OutputPlan plan(const PlanInputs& models) const;

  Granularity granularity() const {
    if (router == Router::kTfidf)
      return Granularity::kTensors;  // its rows have a shape of their own
    return own == Own::kEverything ? Granularity::kParts : shared->granularity();
  }
  int64_t working_bytes(const TensorInfo& tensor) const { return shared->working_bytes(tensor); }
  void prepare(const ModelJob& job);
  std::any measure(const TensorParts& tensor) const {
    return is_shared(tensor.name()) ? shared->measure(tensor) : std::any();
  }
  at::Tensor merge(const TensorJob& job, const std::any& measured) const {
    if (job.name == kIdf) return idf_;
    if (job.name == kRows) return rows(job);
    return is_shared(job.name) ? shared->merge(job, measured) : job.experts.front();
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  Json config(const PlanInputs& models, size_t members,
              const std::vector<std::string>& names) const;
  /// Whether the router looks at the experts' examples.
  bool reads_data() const {
    return router == Router::kSequenceEmbedding || router == Router::kTfidf;
  }
  /// Of a tensor of the experts.
  bool keeps(const std::string& name) const {
    return own == Own::kEverything || name.find(".mlp.") != std::string::npos ||
           (own == Own::kLayers && name.find(".self_attn.") != std::string::npos);
  }
  /// Of a tensor of the result.
  static bool is_shared(const std::string& name) {
    return !name.starts_with("members.") && !name.starts_with("router.");
  }
  at::Tensor rows(const TensorJob& job) const {
    if (granularity() != Granularity::kParts) return rows_;
    return rows_.flatten().narrow(0, job.offset, job.experts.front().numel());
  }

  at::Tensor rows_;  ///< float32, a row per expert, where the router has them
  at::Tensor idf_;   ///< float32 [vocabulary], of tfidf
};

std::optional<std::string> RoutedEnsemble::conflict() const {
  if (base_expert && reads_data())
    return "parameter 'router' looks at data of every expert, and with 'base_expert' the base is "
           "one that has none";
  if (router == Router::kTfidf && own != Own::kEverything)
    return "parameter 'router' is tfidf, which chooses among experts that keep everything, and "
           "'own' is less";
  if (ascent && router != Router::kTaskVectorGradient)
    return "parameter 'ascent' is about the router task_vector_gradient, and 'router' is another";
  if (mix == Mix::kLayers && own == Own::kEverything)
    return "parameter 'mix' is layers, between one embedding and one head, and 'own' is everything";
  if (own == Own::kEverything) return std::nullopt;
  return shared_conflict(shared, base_expert);
}

Json RoutedEnsemble::config(const PlanInputs& models, size_t members,
                            const std::vector<std::string>& names) const {
  Json config = parameters_to_json(*this);
  for (const char* key : {"base_expert", "batch", "own"}) config.erase(key);
  config["model_type"] = "assay_routed";
  config["shared"] = names;
  config["members"] = members;
  config["member"] = models.config;
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

  std::vector<std::string> names;  // of what they share
  const TensorSource& reference = models.base ? *models.base : *models.experts.front();
  for (const TensorInfo& tensor : reference.tensors())
    if (!keeps(tensor.name)) names.push_back(tensor.name);
  if (own != Own::kEverything && names.size() == reference.tensors().size())
    throw SkipCell(fmt::format(
        "routed_ensemble divides models of Llama's names ('self_attn.', 'mlp.'), and {} has none",
        reference.label()));

  OutputPlan plan{config(models, members.size(), names), {}};
  if (router == Router::kUniform) plan.config["top_k"] = members.size();
  const auto add = [&](std::string name, const std::vector<size_t>& of, TensorView view) {
    OutputTensor& tensor = plan.tensors.emplace_back();
    tensor.name = std::move(name);
    for (const size_t model : of) {
      tensor.experts.push_back(view);
      tensor.experts.back().model = model;
    }
  };
  for (size_t i = 0; i < members.size(); ++i) {
    const TensorSource& model =
        members[i] == TensorView::kBase ? *models.base : *models.experts.at(members[i]);
    for (const TensorInfo& tensor : model.tensors())
      add(fmt::format("members.{}.{}", i, tensor.name), {members[i]}, {.tensor = tensor.name});
  }
  for (const std::string& name : names) {
    add(name, members, {.tensor = name});
    if (models.base)
      plan.tensors.back().base = TensorView{.model = TensorView::kBase, .tensor = name};
  }
  if (router == Router::kTaskVectorGradient)
    for (const TensorInfo& tensor : models.base->tensors())
      add(fmt::format("router.base.{}", tensor.name), {TensorView::kBase}, {.tensor = tensor.name});
  if (router != Router::kRandom && !reads_data()) return plan;
  const TensorInfo& embedding = embedding_of(*models.experts.front());
  if (router == Router::kSequenceEmbedding)
    add(kEmbedding, {TensorView::kBase}, {.tensor = embedding.name});
  if (router == Router::kTfidf) {
    const int64_t vocabulary = embedding.shape.front();
    add(kIdf, members, {.tensor = embedding.name});
    plan.tensors.back().shape = {vocabulary};
    add(kRows, members, {.tensor = embedding.name});
    plan.tensors.back().shape = {static_cast<int64_t>(members.size()), vocabulary};
    return plan;
  }
  // Planned as rows of the embedding, which have their shape; the values are the router's.
  add(kRows, members, {.tensor = embedding.name, .rows = static_cast<int64_t>(members.size())});
  return plan;
}

void RoutedEnsemble::prepare(const ModelJob& job) {
  const SomeTensors merged(job, is_shared);
  if (!merged.names().empty()) shared->prepare(merged);
  const std::vector<std::string>& names = job.names();
  if (std::find(names.begin(), names.end(), kRows) == names.end()) return;
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const at::Tensor like = job.tensor(kRows).experts.front();
  if (router == Router::kRandom) {
    rows_ = random_rows(job.parts(kRows), like.sizes()).to(like.device());
    return;
  }
  const Network& network = job.evidence().network();
  at::Tensor rows;
  if (router == Router::kTfidf) {
    const Tfidf made = tfidf_rows(network, job.num_experts(), batch);
    idf_ = made.idf.to(like.device(), at::kFloat);
    rows = made.rows;
  } else {
    rows = embedding_rows(network, job.num_experts(), batch);
  }
  rows_ = rows.to(like.device(), at::kFloat);
}

StateDict RoutedEnsemble::merge_model(const ModelJob& job) const {
  StateDict made;
  const SomeTensors merged(job, is_shared);
  if (!merged.names().empty()) made = shared->merge_model(merged);
  for (const std::string& name : job.names())
    if (!is_shared(name)) made[name] = name == kRows ? rows_ : job.tensor(name).experts.front();
  return made;
}

ASSAY_METHOD(RoutedEnsemble)

}  // namespace
}  // namespace assay
