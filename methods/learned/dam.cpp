#include <ATen/ATen.h>
#include <torch/nn/utils/clip_grad.h>

#include <cmath>
#include <set>

#include "methods/learned/dam_penalty.h"
#include "methods/learned/imitation.h"
#include "methods/learned/mofo.h"

namespace assay {
namespace {

/// DAM: every expert has a coefficient for each input column of each linear layer. They are learned
/// so that the merged model predicts, on each expert's own examples, what that expert predicts.
///
/// Memory: 12 bytes per weight (the merged weights, their gradient, the network's own) and the
/// activations of a batch; the experts as they are stored, on the CPU mapped from their files. With
/// cached targets no expert is run; live ones take another 4 bytes per weight.
struct Dam {
  enum class Targets { kCached, kLive };
  enum class Bias { kMean, kOne };
  enum class NonLinearity { kNone, kTanh, kSigmoid, kRelu };
  enum class Schedule { kConstant, kLinear };

  static constexpr MethodInfo info{
      .name = "dam",
      .paper = "arXiv:2410.08371 §3",
      .summary = "coefficients per input column that imitate each expert on its own data",
      .needs = {.calibration_inputs = true, .gradients = true},
      .identity = R"({"epochs": 0})",
      .flops = "N batches through the network and back per step, and sums of the task vectors"};
  static constexpr Preset presets[] = {
      {"paper",
       R"({"targets": "live", "top_k": 0, "mofo": 1, "l1": 1e-6, "l2": 1e-6, "embeddings": true,
           "norms": true})",
       "the paper's objective (KL, similarity, L1 and L2) and coefficients of all layers, with "
       "AdamW"},
      {"released", R"({"targets": "live", "top_k": 0, "bias": "one", "weight_decay": 0.01})",
       "the released code's defaults: coefficients of biases begin with 1, so that the experts' "
       "biases are added up, and the optimiser's own weight decay of 0.01 stays"},
      {"released_linear",
       R"({"targets": "live", "top_k": 0, "bias": "one", "weight_decay": 0.01,
           "learning_rate": 0.01, "schedule": "linear", "warmup": 0.1})",
       "the released code's example with a larger learning rate that falls"}};

  Targets targets = Targets::kCached;
  int64_t top_k = 128;
  bool embeddings = false, norms = false;
  bool use_base = false;
  Bias bias = Bias::kMean;
  NonLinearity non_linearity = NonLinearity::kNone;
  ImitationLoss loss;
  DamPenalty penalty;
  int64_t epochs = 1, batch = 1;
  double learning_rate = 1e-3;
  Schedule schedule = Schedule::kConstant;
  double warmup = 0;
  double mofo = 0.3;
  double weight_decay = 0;
  double clip_norm = 1;

  void parameters(auto&& p) {
    p(targets, {.name = "targets",
                .choices = {"cached", "live"},
                .help = "the experts' scores from the statistic expert_logits, or by running the "
                        "experts in every step"});
    p(top_k,
      {.name = "top_k",
       .range = {0, 1 << 20},
       .help = "how many of an expert's highest scores count in each row; 0: all, which with "
               "cached targets takes much room for large vocabularies"});
    p(embeddings, {.name = "embeddings",
                   .help = "whether embeddings have coefficients per column, or are averaged"});
    p(norms,
      {.name = "norms", .help = "whether norms have coefficients per entry, or are averaged"});
    p(use_base, {.name = "use_base", .help = "whether the base is merged as one more expert"});
    p(bias, {.name = "bias",
             .choices = {"mean", "one"},
             .help = "what coefficients of biases begin with: 1 / experts, or 1, which adds biases "
                     "up (released code)"});
    p(non_linearity, {.name = "non_linearity",
                      .choices = {"none", "tanh", "sigmoid", "relu"},
                      .help = "what is applied to learned values to give coefficients; the learned "
                              "values begin with 1 / experts all the same"});
    p(loss.kl, {.name = "kl",
                .range = {0, 1000},
                .help = "weight of the KL divergence from the expert to the merged model"});
    p(loss.temperature,
      {.name = "temperature", .range = {1e-3, 1000}, .help = "of the softmax over scores"});
    p(loss.mse, {.name = "mse",
                 .range = {0, 1000},
                 .help = "weight of the mean squared difference of scores"});
    p(loss.entropy,
      {.name = "entropy", .range = {0, 1000}, .help = "weight of the predictions' entropy"});
    p(penalty.similarity, {.name = "similarity",
                           .range = {0, 1000},
                           .sweep = {0, 0.01},
                           .help = "weight of the mean cosine of two experts' coefficients of a "
                                   "layer, summed over layers"});
    p(penalty.l1, {.name = "l1", .range = {0, 1000}, .help = "weight of the L1 norms"});
    p(penalty.l2, {.name = "l2", .range = {0, 1000}, .help = "weight of the L2 norms"});
    p(penalty.overlap,
      {.name = "overlap",
       .range = {0, 1000},
       .help = "weight of the mean over pairs of experts of the sum of the smaller "
               "magnitudes; 1e-5 in the released code"});
    p(penalty.weighted_overlap,
      {.name = "weighted_overlap",
       .range = {0, 1000},
       .help = "the same, columns weighed by sin² of twice the angle between the task vectors' "
               "columns; needs a base"});
    p(epochs, {.name = "epochs", .range = {0, 10000}, .help = "passes over the examples"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples of every expert in a step"});
    p(learning_rate,
      {.name = "learning_rate", .range = {0, 1}, .sweep = {1e-3, 1e-2}, .help = "AdamW's"});
    p(schedule, {.name = "schedule",
                 .choices = {"constant", "linear"},
                 .help = "whether the learning rate stays, or falls to 0"});
    p(warmup, {.name = "warmup",
               .range = {0, 1},
               .help = "share of the steps in which the learning rate rises from 0"});
    p(mofo, {.name = "mofo",
             .range = {0, 1},
             .help = "share of a layer's coefficients, those of the largest momentum, that a step "
                     "changes (MoFO-AdamW); 1: AdamW"});
    p(weight_decay, {.name = "weight_decay", .range = {0, 1}, .help = "AdamW's"});
    p(clip_norm, {.name = "clip_norm",
                  .range = {0, 1e6},
                  .help = "the largest norm of the gradient, to which it is scaled; 0: none"});
  }

  Needs needs() const {
    Needs needs = info.needs;
    needs.base = use_base || penalty.weighted_overlap > 0;
    return needs;
  }
  std::vector<StatisticRef> statistics() const {
    if (targets == Targets::kLive) return {};
    return {{"expert_logits", {{"top_k", top_k}}}};
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  struct Layer {
    size_t group;
    at::Tensor angles;  ///< DamPenalty's
  };
  LearnedModel::Constraint constraint() const;
  LearnedModel model_of(const ModelJob& job, std::vector<Layer>& layers) const;
  double rate(int64_t step, int64_t steps) const;
};

/// What the coefficients of a tensor are of.
enum class Part { kLinear, kBias, kEmbedding, kNorm };

Part part_of(const Evidence& evidence, const std::set<std::string>& biases, const TensorJob& job) {
  if (evidence.layer(job.name)) return Part::kLinear;
  if (biases.contains(job.name)) return Part::kBias;
  return job.experts.front().dim() >= 2 ? Part::kEmbedding : Part::kNorm;
}

/// For broadcasting a coefficient per input over a weight: all of its dimensions but the outputs'.
std::vector<int64_t> input_shape(const at::Tensor& weight, const LayerInfo* layer) {
  if (layer && layer->in_out) return {weight.size(0), 1};
  std::vector<int64_t> shape = weight.sizes().vec();
  if (layer)
    shape[0] = 1;
  else
    std::fill(shape.begin(), shape.end() - 1, 1);
  return shape;
}

/// [outputs, inputs].
at::Tensor matrix_of(const at::Tensor& weight, const LayerInfo& layer) {
  return layer.in_out ? weight.t() : weight.flatten(1);
}

LearnedModel::Constraint Dam::constraint() const {
  switch (non_linearity) {
    case NonLinearity::kTanh:
      return [](const at::Tensor& raw) { return raw.tanh(); };
    case NonLinearity::kSigmoid:
      return [](const at::Tensor& raw) { return raw.sigmoid(); };
    case NonLinearity::kRelu:
      return [](const at::Tensor& raw) { return raw.relu(); };
    case NonLinearity::kNone:
      break;
  }
  return nullptr;
}

LearnedModel Dam::model_of(const ModelJob& job, std::vector<Layer>& layers) const {
  const Evidence& evidence = job.evidence();
  std::set<std::string> biases;
  for (const std::string& name : job.names())
    if (const LayerInfo* layer = evidence.layer(name); layer && !layer->bias.empty())
      biases.insert(layer->bias);

  LearnedModel model(constraint());
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    LearnedTensor learned{.name = name, .terms = tensor.experts};
    if (use_base) learned.terms.push_back(tensor.base);
    const at::Tensor& first = tensor.experts.front();
    const LayerInfo* layer = evidence.layer(name);
    const Part part = part_of(evidence, biases, tensor);
    const bool trained = (part != Part::kEmbedding || embeddings) && (part != Part::kNorm || norms);
    if (trained && part != Part::kBias && first.dim() > 0)
      learned.shape = input_shape(first, layer);
    const auto models = static_cast<int64_t>(learned.terms.size());
    const double initial =
        part == Part::kBias && bias == Bias::kOne ? 1 : 1 / static_cast<double>(models);
    learned.group = model.add_group(
        at::full({models, c10::multiply_integers(learned.shape)}, initial, at::kDouble), trained);
    if (trained && part != Part::kBias) {
      at::Tensor angles;
      if (penalty.weighted_overlap > 0 && layer) {
        std::vector<at::Tensor> matrices;
        for (const at::Tensor& term : learned.terms)
          matrices.push_back(matrix_of(term.to(at::kFloat) - tensor.base, *layer));
        angles = squared_sines(matrices).cpu();
      }
      layers.push_back({learned.group, angles});
    }
    model.add(std::move(learned));
  }
  return model;
}

double Dam::rate(int64_t step, int64_t steps) const {
  const auto now = static_cast<double>(step), all = static_cast<double>(steps);
  const double rising = std::ceil(warmup * all);
  if (now < rising) return learning_rate * now / rising;
  if (schedule == Schedule::kConstant) return learning_rate;
  return learning_rate * (all - now) / std::max(1.0, all - rising);
}

StateDict Dam::merge_model(const ModelJob& job) const {
  const Network& network = job.evidence().network();
  const size_t experts = job.num_experts();
  std::vector<Layer> layers;
  const LearnedModel model = model_of(job, layers);

  std::vector<CachedScores> cached;
  std::vector<StateDict> live(targets == Targets::kLive ? experts : 0);
  for (const StatisticRef& statistic : statistics())
    for (size_t i = 0; i < experts; ++i)
      cached.emplace_back(job.evidence().statistic(statistic, i), network.examples(i));
  for (const std::string& name : job.names()) {
    if (live.empty()) break;
    const TensorJob tensor = job.tensor(name);
    for (size_t i = 0; i < experts; ++i) live[i][name] = tensor.experts[i];
  }
  const auto scores_of = [&](size_t expert, ExampleBatch examples, at::Device device) {
    if (live.empty()) return cached[expert].read(examples, device);
    const c10::NoGradGuard no_gradients;
    return highest(network.logits(live[expert], expert, examples.first, examples.count), top_k);
  };

  const auto add_gradients = [&](const StateDict& weights, int64_t step) {
    double sum = 0;
    for (size_t i = 0; i < experts; ++i) {
      const ExampleBatch examples = batch_of(network, i, step, batch);
      const at::Tensor merged = network.logits(weights, i, examples.first, examples.count);
      const ImitationLoss::Value value = loss(merged, scores_of(i, examples, merged.device()));
      merged.backward(value.gradient);
      sum += value.loss;
    }
    for (const Layer& layer : layers) {
      const at::Tensor of_layer = penalty(model.raw(layer.group), layer.angles);
      if (!of_layer.requires_grad()) continue;  // one expert, or penalties that are off
      of_layer.backward();
      sum += of_layer.item<double>();
    }
    return sum;
  };

  const int64_t steps = steps_of(network, experts, epochs, batch);
  const std::vector<at::Tensor> learned = model.parameters();
  Mofo optimiser(learned, torch::optim::AdamWOptions(learning_rate).weight_decay(weight_decay),
                 mofo);
  const auto update = [&](int64_t step) {
    if (clip_norm > 0) torch::nn::utils::clip_grad_norm_(learned, clip_norm);
    optimiser.set_learning_rate(rate(step, steps));
    optimiser.step();
  };
  return descend(model, {"dam", "loss", steps, add_gradients, update}, job);
}

ASSAY_METHOD(Dam)

}  // namespace
}  // namespace assay
