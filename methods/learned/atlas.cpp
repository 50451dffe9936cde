#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include "methods/dense/whole_deltas.h"
#include "methods/learned/descent.h"

namespace assay {
namespace {

/// aTLAS: coefficients of the task vectors, one per parameter block (a tensor), that minimise the
/// cross-entropy on labelled examples of every task. They have no bounds and begin with the base.
/// The authors keep the epoch that validates best on these examples; here it is the last.
struct Atlas {
  static constexpr MethodInfo info{
      .name = "atlas",
      .version = 2,
      .paper = "arXiv:2407.02880 §4",
      .summary = "coefficients of the task vectors per tensor, learned from labels",
      .needs = {.base = true,
                .calibration_inputs = true,
                .calibration_labels = true,
                .gradients = true},
      .identity = R"({"init": 0.5, "epochs": 0})",
      .flops = "N batches through the network and back per step, and sums of the task vectors"};
  static constexpr Preset presets[] = {
      {"isotropic", R"({"granularity": "task"})", "one coefficient per task vector"}};
  Sharing granularity = Sharing::kTensor;
  double init = 0;
  int64_t epochs = 20;
  double learning_rate = 1e-3;
  double weight_decay = 0.1;
  int64_t batch = 16;
  double clip_norm = 1;

  void parameters(auto&& p) {
    p(granularity,
      {.name = "granularity", .choices = {"task", "block", "tensor"}, .help = kSharingHelp});
    p(init, {.name = "init", .range = {-10, 10}, .help = "what all coefficients begin with"});
    p(epochs, {.name = "epochs", .range = {0, 10000}, .help = "passes over the examples"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .sweep = {1e-3, 1e-2, 1e-1, 1},
                      .help = "AdamW's; with few examples, and so few steps, the authors' 0.001 "
                              "stays near the base"});
    p(weight_decay, {.name = "weight_decay", .range = {0, 1}, .help = "AdamW's"});
    p(batch, {.name = "batch",
              .range = {1, 4096},
              .help = "examples of every expert in a step; the authors take 128 of all together"});
    p(clip_norm, {.name = "clip_norm",
                  .range = {0, 1e6},
                  .help = "the largest norm of the gradient, to which it is scaled; 0: none"});
  }

  StateDict merge_model(const ModelJob& job) const;
};

StateDict Atlas::merge_model(const ModelJob& job) const {
  const size_t experts = job.num_experts();
  LearnedModel model;
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    model.add(
        {.name = name,
         .group = model.group_of(sharing_key(granularity, job.evidence(), name), experts, init),
         .base = tensor.base,
         .terms = whole_deltas(tensor, Compute::kFloat32)});
  }
  const Network& network = job.evidence().network();
  const std::vector<at::Tensor> learned = model.parameters();
  torch::optim::AdamW adam(learned,
                           torch::optim::AdamWOptions(learning_rate).weight_decay(weight_decay));
  const auto loss = [&](const StateDict& weights, int64_t step) {
    double mean = 0;
    for (size_t i = 0; i < experts; ++i) {
      const at::Tensor share =
          cross_entropy(network, weights, i, batch_of(network, i, step, batch)) /
          static_cast<double>(experts);
      share.backward();
      mean += share.item<double>();
    }
    return mean;
  };
  const auto update = [&](int64_t) {
    if (clip_norm > 0) torch::nn::utils::clip_grad_norm_(learned, clip_norm);
    adam.step();
    adam.zero_grad();
  };
  return descend(model, {"atlas", "loss", steps_of(network, experts, epochs, batch), loss, update},
                 job);
}

ASSAY_METHOD(Atlas)

}  // namespace
}  // namespace assay
