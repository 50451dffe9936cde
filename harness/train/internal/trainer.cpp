#include "harness/train/internal/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <cmath>
#include <numbers>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/core/rng.h"
#include "harness/cost/meter.h"
#include "harness/train/internal/batch_loss.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kSavePause{60};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Minibatches without end; a new permutation for every epoch. A batch may span two epochs.
class Minibatches {
 public:
  Minibatches(int64_t examples, int64_t batch, uint64_t key)
      : examples_(examples), batch_(batch), rng_(key) {}

  /// Places of the examples.
  std::vector<int64_t> next() {
    std::vector<int64_t> places;
    while (static_cast<int64_t>(places.size()) < batch_) {
      if (position_ == order_.size()) {
        order_ = rng_.permutation(examples_);
        position_ = 0;
      }
      places.push_back(order_[position_++]);
    }
    return places;
  }

 private:
  int64_t examples_;
  int64_t batch_;
  Rng rng_;
  std::vector<int64_t> order_;
  size_t position_ = 0;
};

/// The learning rate of a step, counted from 0, as transformers' schedules have it.
double learning_rate_at(const CheckpointRecipe& recipe, int64_t step) {
  if (step < recipe.warmup)
    return recipe.learning_rate * static_cast<double>(step) / static_cast<double>(recipe.warmup);
  if (recipe.schedule == "constant") return recipe.learning_rate;
  const double fraction =
      static_cast<double>(step - recipe.warmup) / static_cast<double>(recipe.steps - recipe.warmup);
  if (recipe.schedule == "linear") return recipe.learning_rate * (1.0 - fraction);
  return recipe.learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * fraction));
}

class Trainer {
 public:
  explicit Trainer(const TrainingJob& job)
      : job_(job),
        recipe_(job.recipe),
        optimizer_(parameters(job.weights), torch::optim::AdamWOptions(job.recipe.learning_rate)
                                                .betas({job.recipe.beta1, job.recipe.beta2})
                                                .eps(job.recipe.epsilon)
                                                .weight_decay(job.recipe.weight_decay)),
        batches_(job.data.size(), job.recipe.batch,
                 stream_key(job.recipe.seed, "order for " + job.recipe.name)) {
    if (auto state = job.saved.read()) resume(std::move(*state));
  }

  TrainingState run() {
    Progress progress("train " + recipe_.name, recipe_.steps);
    if (state_.step > 0) progress.advance(state_.step);
    const Clock::time_point start = Clock::now();
    const int64_t tokens_before = state_.tokens;
    while (state_.step < recipe_.steps && !is_patience_over()) {
      const double loss = step();
      if (job_.validation && state_.step % recipe_.early_stopping->every == 0) look();
      if (is_save_due()) save();
      std::string note = fmt::format("loss {:.4f}", loss);
      if (state_.tokens > 0)
        note +=
            fmt::format(", {:.0f} tokens/s",
                        static_cast<double>(state_.tokens - tokens_before) / seconds_since(start));
      progress.advance(1, note);
    }
    if (!state_.best.empty()) assign(state_.best);
    state_.cost = cost_so_far();
    return std::move(state_);
  }

 private:
  static std::vector<at::Tensor> parameters(const TrainedWeights& weights) {
    std::vector<at::Tensor> all;
    for (const auto& [unused, tensor] : weights.trained()) all.push_back(tensor);
    return all;
  }

  torch::optim::AdamWParamState& moments(const at::Tensor& parameter) {
    auto& entry = optimizer_.state()[parameter.unsafeGetTensorImpl()];
    if (!entry) entry = std::make_unique<torch::optim::AdamWParamState>();
    return static_cast<torch::optim::AdamWParamState&>(*entry);
  }

  void assign(const StateDict& weights) {
    const c10::AutoGradMode no_gradients(false);
    for (const auto& [name, tensor] : job_.weights.changing()) tensor.copy_(weights.at(name));
  }

  void resume(TrainingState state) {
    log_info("train {}: goes on after step {} of {}", recipe_.name, state.step, recipe_.steps);
    state_ = std::move(state);
    is_resumed_ = true;
    assign(state_.weights);
    for (const auto& [name, parameter] : job_.weights.trained()) {
      if (!state_.updates.contains(name)) continue;  // it had no gradient yet
      auto& own = moments(parameter);
      own.step(state_.updates.at(name));
      own.exp_avg(state_.means.at(name));
      own.exp_avg_sq(state_.squares.at(name));
    }
    for (int64_t i = 0; i < state_.step; ++i) batches_.next();
  }

  double step() {
    const c10::AutoGradMode with_gradients(true);
    optimizer_.param_groups().front().options().set_lr(learning_rate_at(recipe_, state_.step));
    const std::vector<int64_t> places = batches_.next();
    optimizer_.zero_grad();
    const double loss =
        add_gradients(job_, micro_batches_of(job_.data, places, recipe_.accumulate), state_.step);
    if (recipe_.clip_norm)
      torch::nn::utils::clip_grad_norm_(parameters(job_.weights), *recipe_.clip_norm);
    optimizer_.step();
    counters::examples += recipe_.batch;
    counters::gradient_steps += 1;
    state_.step += 1;
    state_.tokens += job_.data.tokens(places);
    state_.losses.push_back(loss);
    return loss;
  }

  void look() {
    state_.looks.push_back({state_.step, validation_loss(job_)});
    if (state_.best_look() + 1 < state_.looks.size()) return;
    for (const auto& [name, tensor] : job_.weights.changing())
      state_.best[name] = tensor.detach().clone();
  }

  bool is_patience_over() const {
    if (!job_.validation || state_.looks.empty()) return false;
    const size_t since = state_.looks.size() - 1 - state_.best_look();
    return since >= static_cast<size_t>(recipe_.early_stopping->patience);
  }

  bool is_save_due() const {
    if (state_.step == recipe_.steps) return false;
    return recipe_.save_every > 0 ? state_.step % recipe_.save_every == 0
                                  : Clock::now() - saved_at_ >= kSavePause;
  }

  void save() {
    saved_at_ = Clock::now();
    state_.weights = job_.weights.changing();
    // Weights that diverged are worth nothing; the next loss says so.
    for (const auto& [unused, tensor] : state_.weights)
      if (!tensor.isfinite().all().item<bool>()) return;
    for (const auto& [name, parameter] : job_.weights.trained()) {
      if (optimizer_.state().count(parameter.unsafeGetTensorImpl()) == 0) continue;
      const auto& own = moments(parameter);
      state_.updates[name] = own.step();
      state_.means[name] = own.exp_avg();
      state_.squares[name] = own.exp_avg_sq();
    }
    const Cost before = std::exchange(state_.cost, cost_so_far());
    job_.saved.write(state_);
    state_.cost = before;
  }

  /// Of this run and of those before it.
  Cost cost_so_far() {
    Cost cost = meter_.stop();
    if (is_resumed_) cost += state_.cost;
    return cost;
  }

  const TrainingJob& job_;
  const CheckpointRecipe& recipe_;
  Meter meter_;
  torch::optim::AdamW optimizer_;
  Minibatches batches_;
  TrainingState state_;
  bool is_resumed_ = false;
  Clock::time_point saved_at_ = Clock::now();
};

}  // namespace

TrainingState run_training(const TrainingJob& job) { return Trainer(job).run(); }

}  // namespace assay
