#include "harness/train/internal/batch_loss.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"
#include "harness/lm/micro_batches.h"
#include "harness/model/batch_norm.h"
#include "harness/model/recompute.h"

namespace assay {
namespace {

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

at::Tensor mean_loss(const TrainingJob& job, const StateDict& weights,
                     std::span<const int64_t> places, int64_t step) {
  const Autocast autocast(job.recipe.precision == "bf16");
  const auto [scores, targets] = job.data.rows(job.architecture, weights, places, step);
  const at::ScalarType at_least_float = at::promote_types(scores.scalar_type(), at::kFloat);
  return at::cross_entropy_loss(scores.to(at_least_float), targets);
}

/// As PyTorch does: running moments move by a tenth towards those of each batch.
void update_running(const TrainedWeights& weights, const BatchNormByBatch& batch) {
  constexpr double kMomentum = 0.1;
  const c10::AutoGradMode no_gradients(false);
  for (const auto& [name, value] : batch.running_moments())
    weights.running().at(name).lerp_(value, kMomentum);
}

}  // namespace

std::vector<std::vector<int64_t>> micro_batches_of(const TrainingData& data,
                                                   std::span<const int64_t> places, int64_t parts) {
  const auto divisor = static_cast<size_t>(parts);
  std::vector<ExampleLength> lengths;
  lengths.reserve(places.size());
  for (const int64_t place : places) lengths.push_back(data.length(place));
  return micro_batches(places, lengths, (places.size() + divisor - 1) / divisor);
}

double add_gradients(const TrainingJob& job, const std::vector<std::vector<int64_t>>& batches,
                     int64_t step) {
  const CheckpointRecipe& recipe = job.recipe;
  double all_rows = 0;
  for (const std::vector<int64_t>& batch : batches)
    all_rows += static_cast<double>(job.data.row_count(batch));
  double value = 0;
  for (const std::vector<int64_t>& batch : batches) {
    const StateDict weights = job.weights.model();
    const RecomputeBlocks recompute(recipe.gradient_checkpointing);
    const BatchNormByBatch moments(job.weights.fixed_norms());
    at::Tensor loss = mean_loss(job, weights, batch, step);
    if (batches.size() > 1)
      loss = loss * (static_cast<double>(job.data.row_count(batch)) / all_rows);
    value += loss.item<double>();
    if (!std::isfinite(value))
      data_error("{}: the loss is {} at step {} of {}; a smaller learning_rate than {} may help",
                 job.where, value, step + 1, recipe.steps, recipe.learning_rate);
    loss.backward();
    update_running(job.weights, moments);
  }
  return value;
}

double validation_loss(const TrainingJob& job) {
  const c10::AutoGradMode no_gradients(false);
  const StateDict weights = job.weights.model();
  double sum = 0, rows = 0;
  for (int64_t first = 0; first < job.validation->size(); first += job.recipe.batch) {
    std::vector<int64_t> places(
        static_cast<size_t>(std::min(job.recipe.batch, job.validation->size() - first)));
    std::iota(places.begin(), places.end(), first);
    for (const std::vector<int64_t>& batch : micro_batches_of(*job.validation, places, 1)) {
      const Autocast autocast(job.recipe.precision == "bf16");
      const auto [scores, targets] =
          job.validation->rows(job.architecture, weights, batch, std::nullopt);
      sum += at::cross_entropy_loss(scores.to(at::kDouble), targets, {}, at::Reduction::Sum)
                 .item<double>();
      rows += static_cast<double>(targets.size(0));
    }
  }
  return sum / rows;
}

}  // namespace assay
