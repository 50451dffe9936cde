#include "methods/learned/fine_tuning.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/running_moments.h"
#include "methods/moe/load_balance.h"

namespace assay {
namespace {

/// Float32 copies of a model's tensors; with `keep_equal` equal ones are one tensor.
StateDict copies_of(const StateDict& model, bool keep_equal) {
  StateDict copies;
  std::vector<std::string> different;
  for (const auto& entry : model) {
    const at::Tensor& tensor = entry.second;
    const auto same = std::find_if(different.begin(), different.end(), [&](const auto& other) {
      const at::Tensor& known = model.at(other);
      return keep_equal && known.sizes() == tensor.sizes() && at::equal(known, tensor);
    });
    if (same != different.end()) {
      copies[entry.first] = copies.at(*same);
    } else {
      copies[entry.first] = tensor.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
      different.push_back(entry.first);
    }
  }
  return copies;
}

class Trainer {
 public:
  Trainer(StateDict weights, const Network& network, size_t experts, const FineTuning& how)
      : weights_(std::move(weights)), network_(network), experts_(experts), how_(how) {}

  void run(const FineTuningStage& stage) {
    const std::vector<at::Tensor> trained = leaves(stage);
    int64_t parameters = 0;
    for (const at::Tensor& leaf : trained) parameters += leaf.numel();
    torch::optim::AdamW adam(
        trained, torch::optim::AdamWOptions(how_.learning_rate).weight_decay(how_.weight_decay));
    int64_t seen = 0;
    while (seen < stage.tokens) {
      const double left = 1 - static_cast<double>(seen) / static_cast<double>(stage.tokens);
      for (torch::optim::OptimizerParamGroup& group : adam.param_groups())
        group.options().set_lr(how_.learning_rate * (how_.decay ? left : 1));
      seen += backward(stage.routes);
      if (how_.clip_norm > 0) torch::nn::utils::clip_grad_norm_(trained, how_.clip_norm);
      adam.step();
      adam.zero_grad();
      counters::gradient_steps += 1;
      ++made_.steps;
      if (stage.routes)
        stage.routes->stepped(static_cast<double>(seen) / static_cast<double>(stage.tokens));
    }
    made_.tokens += seen;
    made_.parameters = std::max(made_.parameters, parameters);
    made_.parameter_tokens += static_cast<double>(parameters) * static_cast<double>(seen);
    for (const at::Tensor& leaf : trained) leaf.set_requires_grad(false);
  }

  FineTuned finish() {
    if (!losses_.empty()) {
      const auto tenth = static_cast<int64_t>(std::max<size_t>(1, losses_.size() / 10));
      made_.loss_first = std::accumulate(losses_.begin(), losses_.begin() + tenth, 0.0) /
                         static_cast<double>(tenth);
      made_.loss_last =
          std::accumulate(losses_.end() - tenth, losses_.end(), 0.0) / static_cast<double>(tenth);
    }
    made_.weights = std::move(weights_);
    return std::move(made_);
  }

 private:
  std::vector<at::Tensor> leaves(const FineTuningStage& stage) const {
    std::vector<at::Tensor> trained;
    for (const auto& [name, tensor] : weights_) {
      if (is_running_moment(name) || !stage.trains(name)) continue;
      if (tensor.requires_grad()) continue;  // equal to one before
      trained.push_back(tensor);
      tensor.set_requires_grad(true);
    }
    if (trained.empty())
      user_error("{}: no tensor of the result is one that is to be trained", how_.method);
    return trained;
  }

  /// The gradients of one step. Returns how many tokens it saw.
  int64_t backward(TrainingRoutes* routes) {
    const auto experts = static_cast<double>(experts_);
    at::Tensor total;
    double loss = 0;
    int64_t rows = 0;
    std::vector<std::vector<RouterScores>> routers(experts_);
    for (size_t i = 0; i < experts_; ++i) {
      const ExampleBatch batch = batch_of(network_, i, made_.steps, how_.batch);
      const at::Tensor scores = scores_of(i, batch, routes, routers[i]);
      const at::Tensor targets = network_.targets(i, batch.first, batch.count);
      at::Tensor own = at::cross_entropy_loss(scores, targets);
      loss += own.item<double>() / experts;
      rows += targets.numel();
      if (how_.distillation > 0) {
        const ImitationLoss imitation{.kl = how_.distillation, .temperature = how_.temperature};
        // The gradient of the divergence, as that of a product.
        own = own +
              (scores * imitation(scores, how_.teacher(i, batch, scores.device())).gradient).sum();
      }
      total = total.defined() ? total + own / experts : own / experts;
    }
    if (!std::isfinite(loss))
      data_error("{}: the loss is {} at step {}; a smaller learning_rate may help", how_.method,
                 loss, made_.steps + 1);
    if (how_.balance > 0) total = total + how_.balance * imbalance(routers);
    total.backward();
    losses_.push_back(loss);
    return rows;
  }

  at::Tensor scores_of(size_t expert, ExampleBatch batch, TrainingRoutes* routes,
                       std::vector<RouterScores>& routers) const {
    if (how_.balance == 0 && !routes)
      return network_.logits_by_length(weights_, expert, batch.first, batch.count);
    return routed_network(network_).routed_logits(
        weights_, expert, batch.first, batch.count,
        routes ? routes->route(expert, made_.steps) : RouteTokens(), routers);
  }

  /// The sum over routers, each over the tokens of all experts.
  static at::Tensor imbalance(const std::vector<std::vector<RouterScores>>& routers) {
    at::Tensor sum = at::zeros({});
    for (size_t layer = 0; layer < routers.front().size(); ++layer) {
      std::vector<at::Tensor> logits;
      for (const std::vector<RouterScores>& of_expert : routers)
        logits.push_back(of_expert.at(layer).logits);
      const at::Tensor all = at::cat(logits);
      sum = sum.to(all.device()) + load_balance(all, routers.front()[layer].top_k);
    }
    return sum;
  }

  StateDict weights_;
  const Network& network_;
  size_t experts_;
  const FineTuning& how_;
  FineTuned made_;
  std::vector<double> losses_;
};

}  // namespace

FineTuned fine_tuned(const StateDict& model, const Network& network, size_t experts,
                     const std::vector<FineTuningStage>& stages, const FineTuning& how) {
  const c10::AutoGradMode with_gradients(true);
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  Trainer trainer(copies_of(model, how.keep_equal), network, experts, how);
  for (const FineTuningStage& stage : stages)
    if (stage.tokens > 0) trainer.run(stage);
  return trainer.finish();
}

}  // namespace assay
