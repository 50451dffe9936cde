#include <ATen/ATen.h>
#include <torch/optim/adamw.h>

#include "methods/learned/descent.h"

namespace assay {
namespace {

/// Learned soup: weights of the experts, a softmax over them, that minimise the cross-entropy on
/// labelled examples. The scores are multiplied by a number that is learned, too, and is not part
/// of the result: it changes no prediction.
struct LearnedSoup {
  static constexpr MethodInfo info{
      .name = "learned_soup",
      .paper = "arXiv:2203.05482 App. I",
      .summary = "weighted mean of the experts, its weights learned from labels",
      .needs = {.calibration_inputs = true, .calibration_labels = true, .gradients = true},
      .own_moments = true,
      .identity = R"({"epochs": 0})",
      .flops = "N batches through the network and back per step, and sums of the task vectors"};
  static constexpr Preset presets[] = {
      {"global", R"({"granularity": "task"})", "one weight per expert"}};
  Sharing granularity = Sharing::kTensor;
  bool scale = true;
  int64_t epochs = 5;
  double learning_rate = 0.05;
  int64_t batch = 16;

  void parameters(auto&& p) {
    p(granularity,
      {.name = "granularity", .choices = {"task", "block", "tensor"}, .help = kSharingHelp});
    p(scale, {.name = "scale", .help = "whether a multiplier of the scores is learned, from 1 on"});
    p(epochs, {.name = "epochs",
               .range = {0, 10000},
               .sweep = {5, 20},
               .help = "passes over the examples"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .sweep = {0.01, 0.05, 0.1},
                      .help = "AdamW's, without weight decay"});
    p(batch, {.name = "batch",
              .range = {1, 4096},
              .help = "examples of every expert in a step; the authors take 256 of one data set"});
  }

  StateDict merge_model(const ModelJob& job) const;
};

at::Tensor over_experts(const at::Tensor& raw) { return raw.softmax(0); }

StateDict LearnedSoup::merge_model(const ModelJob& job) const {
  const size_t experts = job.num_experts();
  LearnedModel model(over_experts);
  for (const std::string& name : job.names()) {
    const size_t group = model.group_of(sharing_key(granularity, job.evidence(), name), experts, 0);
    model.add({.name = name, .group = group, .terms = job.tensor(name).experts});
  }
  const Network& network = job.evidence().network();
  const at::Tensor multiplier = at::ones({}, at::kDouble).requires_grad_(scale);
  std::vector<at::Tensor> learned = model.parameters();
  if (scale) learned.push_back(multiplier);
  torch::optim::AdamW adam(learned, torch::optim::AdamWOptions(learning_rate).weight_decay(0));
  const auto loss = [&](const StateDict& weights, int64_t step) {
    double sum = 0;
    for (size_t i = 0; i < experts; ++i) {
      const at::Tensor share =
          cross_entropy(network, weights, i, batch_of(network, i, step, batch), multiplier) /
          static_cast<double>(experts);
      share.backward();
      sum += share.item<double>();
    }
    return sum;
  };
  const auto update = [&](int64_t) {
    adam.step();
    adam.zero_grad();
  };
  return descend(model,
                 {"learned_soup", "loss", steps_of(network, experts, epochs, batch), loss, update},
                 job);
}

ASSAY_METHOD(LearnedSoup)

}  // namespace
}  // namespace assay
