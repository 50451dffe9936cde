#include "harness/train/internal/trainer.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/core/rng.h"
#include "harness/cost/meter.h"
#include "harness/model/batch_norm.h"
#include "harness/model/recompute.h"

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

/// Autocast of LibTorch's operators to bfloat16 on this thread.
class Autocast {
 public:
  explicit Autocast(bool enabled) : before_(at::autocast::is_autocast_enabled(at::kCPU)) {
    at::autocast::set_autocast_enabled(at::kCPU, enabled);
    if (enabled) at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  }
  ~Autocast() {
    at::autocast::clear_cache();  // weights change after every step
    at::autocast::set_autocast_enabled(at::kCPU, before_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool before_;
};

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
      if (!state_.means.contains(name)) continue;  // it had no gradient yet
      auto& own = moments(parameter);
      own.step(state_.step);
      own.exp_avg(state_.means.at(name));
      own.exp_avg_sq(state_.squares.at(name));
    }
    for (int64_t i = 0; i < state_.step; ++i) batches_.next();
  }

  /// The loss of one minibatch, whose gradients are added to the parameters'.
  double backward(std::span<const int64_t> places) {
    const auto parts = static_cast<size_t>(recipe_.accumulate);
    const auto all_rows = static_cast<double>(job_.data.row_count(places));
    const size_t per_part = (places.size() + parts - 1) / parts;
    double value = 0;
    for (size_t first = 0; first < places.size(); first += per_part) {
      const auto part = places.subspan(first, std::min(per_part, places.size() - first));
      const StateDict weights = job_.weights.model();
      const RecomputeBlocks recompute(recipe_.gradient_checkpointing);
      const BatchNormByBatch moments(job_.weights.fixed_norms());
      at::Tensor loss = mean_loss(weights, part);
      if (parts > 1) loss = loss * (static_cast<double>(job_.data.row_count(part)) / all_rows);
      value += loss.item<double>();
      if (!std::isfinite(value)) fail(value);
      loss.backward();
      update_running(moments);
    }
    return value;
  }

  /// As PyTorch does: running moments move by a tenth towards those of each batch.
  void update_running(const BatchNormByBatch& batch) const {
    constexpr double kMomentum = 0.1;
    const c10::AutoGradMode no_gradients(false);
    const StateDict& running = job_.weights.running();
    for (const auto& [name, value] : batch.running_moments())
      running.at(name).lerp_(value, kMomentum);
  }

  at::Tensor mean_loss(const StateDict& weights, std::span<const int64_t> places) const {
    const Autocast autocast(recipe_.precision == "bf16");
    const auto [scores, targets] = job_.data.rows(job_.architecture, weights, places, state_.step);
    return at::cross_entropy_loss(scores.to(at::kFloat), targets);
  }

  [[noreturn]] void fail(double value) const {
    data_error("{}: the loss is {} at step {} of {}; a smaller learning_rate than {} may help",
               job_.where, value, state_.step + 1, recipe_.steps, recipe_.learning_rate);
  }

  double step() {
    const c10::AutoGradMode with_gradients(true);
    optimizer_.param_groups().front().options().set_lr(learning_rate_at(recipe_, state_.step));
    const std::vector<int64_t> places = batches_.next();
    optimizer_.zero_grad();
    const double loss = backward(places);
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

  /// The mean loss of the validation examples.
  void look() {
    const c10::AutoGradMode no_gradients(false);
    const StateDict weights = job_.weights.model();
    double sum = 0, rows = 0;
    for (int64_t first = 0; first < job_.validation->size(); first += recipe_.batch) {
      std::vector<int64_t> places(
          static_cast<size_t>(std::min(recipe_.batch, job_.validation->size() - first)));
      std::iota(places.begin(), places.end(), first);
      const Autocast autocast(recipe_.precision == "bf16");
      const auto [scores, targets] =
          job_.validation->rows(job_.architecture, weights, places, std::nullopt);
      sum += at::cross_entropy_loss(scores.to(at::kDouble), targets, {}, at::Reduction::Sum)
                 .item<double>();
      rows += static_cast<double>(targets.size(0));
    }
    state_.looks.push_back({state_.step, sum / rows});
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
      if (!parameter.grad().defined()) continue;
      state_.means[name] = moments(parameter).exp_avg();
      state_.squares[name] = moments(parameter).exp_avg_sq();
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
