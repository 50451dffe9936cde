#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/glob.h"
#include "harness/method/hidden_states.h"
#include "methods/dense/whole_deltas.h"
#include "methods/learned/descent.h"
#include "methods/learned/imitation.h"

namespace assay {
namespace {

/// Expert Merging: a coefficient for each expert and tensor, or chunk of a tensor, such that the
/// merged model has on each expert's own examples the scores and the hidden states of that expert.
///
/// Hidden states are what blocks read, but for the first one; the authors choose some by hand.
/// Where an architecture shows none, the scores alone count. Expert Merging++ gives more chunks to
/// the layers that matter more; here all matrices have as many.
///
/// Memory: 4 N + 8 bytes per weight (task vectors, merged weights and their gradient), the models
/// as they are stored, the network's own, and the activations of a batch.
struct ExpertMerging {
  enum class Schedule { kRestarts, kConstant };

  static constexpr MethodInfo info{
      .name = "expert_merging",
      .paper = "arXiv:2509.25712 §3",
      .summary =
          "coefficients per tensor or chunk that imitate each expert's scores and hidden "
          "states",
      .needs = {.base = true, .calibration_inputs = true, .gradients = true},
      .identity = R"({"init": 0.5, "epochs": 0, "exclude": []})",
      .flops =
          "N batches through the network and back and N through the experts per step, and "
          "sums of the task vectors"};
  static constexpr Preset presets[] = {
      {"plus_plus", R"({"chunks": 4})",
       "Expert Merging++: coefficients of chunks, as many for each matrix"},
      {"released", R"({"learning_rate": 1e-4})",
       "the learning rate of the released code's classes"}};
  double init = 0.1;
  int64_t chunks = 1;
  std::vector<std::string> exclude{"*lm_head*", "*norm*", "*embed_tokens*", "*bias*"};
  ImitationLoss scores{.temperature = 3};
  double hidden = 0.1;
  double regularization = 0.1;
  int64_t epochs = 3;
  double learning_rate = 1e-2;
  Schedule schedule = Schedule::kRestarts;
  double weight_decay = 1e-5;
  int64_t batch = 2;
  double clip_norm = 1;

  void parameters(auto&& p) {
    p(init, {.name = "init",
             .range = {1e-6, 1 - 1e-6},
             .help = "what all coefficients begin with; they are sigmoids of what is learned"});
    p(chunks, {.name = "chunks",
               .range = {1, 1 << 20},
               .help = "coefficients of each expert for a matrix, each of as many entries in the "
                       "order in which they are stored; other tensors have one"});
    p(exclude, {.name = "exclude",
                .help = "globs of tensors that stay the base's, by default those that the released "
                        "code names"});
    p(scores.temperature,
      {.name = "temperature", .range = {1e-3, 1000}, .help = "of the softmax over scores"});
    p(hidden, {.name = "hidden",
               .range = {0, 1000},
               .help = "weight of the mean squared difference of hidden states, the mean over "
                       "blocks"});
    p(regularization, {.name = "regularization",
                       .range = {0, 1000},
                       .help = "weight of the distance of coefficients from 'init': the mean "
                               "magnitude, summed over experts"});
    p(epochs, {.name = "epochs",
               .range = {0, 10000},
               .sweep = {3, 10, 30},
               .help = "passes over the examples"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .sweep = {1e-3, 1e-2, 1e-1},
                      .help = "AdamW's, of the sigmoids' arguments; 1e-4 in the released code's "
                              "classes, which in few steps stays where it begins"});
    p(schedule, {.name = "schedule",
                 .choices = {"restarts", "constant"},
                 .help = "whether the learning rate falls by cosines to a tenth, in 50 steps, then "
                         "in 100, 200 and so on, each time from the start"});
    p(weight_decay, {.name = "weight_decay", .range = {0, 1}, .help = "AdamW's"});
    p(batch,
      {.name = "batch",
       .range = {1, 4096},
       .help = "examples of every expert in a step; the released code takes 8 of all in turn"});
    p(clip_norm, {.name = "clip_norm",
                  .range = {0, 1e6},
                  .help = "the largest norm of the gradient, to which it is scaled; 0: none"});
  }

  StateDict merge_model(const ModelJob& job) const;

 private:
  LearnedModel model_of(const ModelJob& job, std::vector<size_t>& groups) const;
  double add_imitation(const Network& network, const StateDict& merged, const StateDict& own,
                       size_t expert, ExampleBatch examples, size_t experts) const;
  double add_distance(const LearnedModel& model, const std::vector<size_t>& groups) const;
  double rate(int64_t step) const;
};

at::Tensor as_sigmoid(const at::Tensor& raw) { return raw.sigmoid(); }

/// What is learned at first.
at::Tensor argument_of(double coefficient, at::IntArrayRef shape) {
  return at::full(shape, coefficient, at::kDouble).logit();
}

LearnedModel ExpertMerging::model_of(const ModelJob& job, std::vector<size_t>& groups) const {
  const auto experts = static_cast<int64_t>(job.num_experts());
  LearnedModel model(as_sigmoid);
  const size_t none = model.add_group(at::zeros({0, 1}, at::kDouble), /*trained=*/false);
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    LearnedTensor learned{.name = name, .group = none, .base = tensor.base};
    if (!matches_any(exclude, name)) {
      const int64_t entries = tensor.base.numel();
      int64_t width = 1;
      if (chunks > 1 && tensor.base.dim() >= 2 && entries > 0) {
        learned.chunk = (entries + chunks - 1) / chunks;
        width = (entries + learned.chunk - 1) / learned.chunk;
      }
      learned.group = model.add_group(argument_of(init, {experts, width}));
      learned.terms = whole_deltas(tensor, Compute::kFloat32);
      groups.push_back(learned.group);
    }
    model.add(std::move(learned));
  }
  return model;
}

/// Adds the gradients of an expert's share of the loss to the merged weights; returns the share.
double ExpertMerging::add_imitation(const Network& network, const StateDict& merged,
                                    const StateDict& own, size_t expert, ExampleBatch examples,
                                    size_t experts) const {
  std::vector<at::Tensor> wanted, found;
  ExpertScores of_expert;
  {
    const c10::NoGradGuard no_gradients;
    of_expert.scores =
        logits_and_states(network, own, expert, examples.first, examples.count, wanted);
  }
  const at::Tensor logits =
      logits_and_states(network, merged, expert, examples.first, examples.count, found);
  const ImitationLoss::Value value = scores(logits, of_expert);
  double loss = value.loss;
  // Its gradient is that of the whole loss.
  at::Tensor sum = (logits * value.gradient).sum();
  if (hidden > 0 && found.size() > 1) {
    if (found.size() != wanted.size())
      data_error("expert_merging: the merged model shows states of {} blocks, an expert of {}",
                 found.size(), wanted.size());
    at::Tensor distance = at::zeros({}, found.front().options());
    for (size_t i = 1; i < found.size(); ++i)
      distance = distance + at::mse_loss(found[i], wanted[i]);
    distance = distance * (hidden / static_cast<double>(found.size() - 1));
    loss += distance.item<double>();
    sum = sum + distance;
  }
  (sum / static_cast<double>(experts)).backward();
  return loss / static_cast<double>(experts);
}

/// The same of what keeps coefficients where they began.
double ExpertMerging::add_distance(const LearnedModel& model,
                                   const std::vector<size_t>& groups) const {
  if (regularization == 0 || groups.empty()) return 0;
  at::Tensor sum = at::zeros({}, at::kDouble);
  int64_t entries = 0;  // of each expert
  for (const size_t group : groups) {
    const at::Tensor coefficients = model.coefficients(group);
    const at::Tensor start = argument_of(init, coefficients.sizes()).sigmoid();
    sum = sum + (coefficients - start).abs().sum();
    entries += coefficients.size(1);
  }
  sum = sum * (regularization / static_cast<double>(entries));
  sum.backward();
  return sum.item<double>();
}

double ExpertMerging::rate(int64_t step) const {
  if (schedule == Schedule::kConstant) return learning_rate;
  constexpr double kLeast = 0.1;
  int64_t period = 50;
  for (; step >= period; period *= 2) step -= period;
  const double angle = std::numbers::pi * static_cast<double>(step) / static_cast<double>(period);
  return learning_rate * (kLeast + (1 - kLeast) * 0.5 * (1 + std::cos(angle)));
}

StateDict ExpertMerging::merge_model(const ModelJob& job) const {
  const Network& network = job.evidence().network();
  const size_t experts = job.num_experts();
  std::vector<size_t> groups;
  const LearnedModel model = model_of(job, groups);
  std::vector<StateDict> own(experts);
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    for (size_t i = 0; i < experts; ++i) own[i][name] = tensor.experts[i];
  }
  const std::vector<at::Tensor> learned = model.parameters();
  torch::optim::AdamW adam(learned,
                           torch::optim::AdamWOptions(learning_rate).weight_decay(weight_decay));
  const auto loss = [&](const StateDict& weights, int64_t step) {
    double sum = add_distance(model, groups);
    for (size_t i = 0; i < experts; ++i)
      sum += add_imitation(network, weights, own[i], i, batch_of(network, i, step, batch), experts);
    return sum;
  };
  const auto update = [&](int64_t step) {
    if (clip_norm > 0) torch::nn::utils::clip_grad_norm_(learned, clip_norm);
    for (torch::optim::OptimizerParamGroup& group : adam.param_groups())
      group.options().set_lr(rate(step));
    adam.step();
    adam.zero_grad();
  };
  return descend(
      model, {"expert_merging", "loss", steps_of(network, experts, epochs, batch), loss, update},
      job);
}

ASSAY_METHOD(ExpertMerging)

}  // namespace
}  // namespace assay
