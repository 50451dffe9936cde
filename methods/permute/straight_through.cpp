#include "methods/permute/straight_through.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "methods/learned/descent.h"

namespace assay {
namespace {

constexpr double kMomentum = 0.9;

/// The mean of two networks, whose weights ask for gradients.
StateDict mean_network(const UnitGroups& groups, const StateDict& first, const StateDict& other,
                       const std::vector<UnitOrder>& orders) {
  const c10::NoGradGuard no_gradients;
  StateDict mean;
  for (const auto& [name, weight] : first) {
    at::Tensor middle = (weight + groups.reordered(name, other.at(name), orders)) / 2;
    mean[name] = middle.requires_grad_();
  }
  return mean;
}

/// Adds gradients to the weights; returns the loss.
double backward(const ModelJob& job, const StateDict& weights, int64_t step, int64_t batch) {
  const c10::AutoGradMode with_gradients(true);
  const Network& network = job.evidence().network();
  const auto experts = static_cast<double>(job.num_experts());
  double sum = 0;
  for (size_t i = 0; i < job.num_experts(); ++i) {
    const at::Tensor loss =
        cross_entropy(network, weights, i, batch_of(network, i, step, batch)) / experts;
    sum += loss.item<double>();
    loss.backward();
  }
  counters::gradient_steps += 1;
  return sum;
}

}  // namespace

Matching match_by_gradients(const UnitGroups& groups, const ModelJob& job, const StateDict& first,
                            const StateDict& other, uint64_t key,
                            const StraightThroughOptions& options) {
  if (std::any_of(job.names().begin(), job.names().end(), is_running_moment))
    throw SkipCell(
        "matching by gradients looks at the loss of the networks' mean, and with BatchNorm its "
        "running moments are not those of its data: match by weights, activations or both");
  const OneThread one;
  StateDict target, velocity;
  for (const auto& [name, weight] : first) {
    if (groups.of(name).empty()) continue;
    target[name] = weight.clone();
    velocity[name] = at::zeros_like(weight);
  }
  Matching best, last;
  double lowest = std::numeric_limits<double>::infinity();
  for (int64_t step = 0; step < options.steps; ++step) {
    last = match_weights(groups, target, other, key, options.max_sweeps, std::move(last.orders));
    const StateDict mean = mean_network(groups, first, other, last.orders);
    const double loss = backward(job, mean, step, options.batch);
    if (!std::isfinite(loss))
      data_error(
          "git_rebasin: the loss of the networks' mean is {} at step {} of {}; a smaller "
          "learning_rate may help",
          loss, step + 1, options.steps);
    if (loss < lowest) {
      lowest = loss;
      best = last;
    }
    const c10::NoGradGuard no_gradients;
    for (auto& [name, weight] : target) {
      const at::Tensor& gradient = mean.at(name).grad();
      if (!gradient.defined()) continue;
      at::Tensor& speed = velocity.at(name);
      speed.mul_(kMomentum).add_(gradient, 0.5);
      weight.sub_(speed, options.learning_rate);
    }
  }
  job.parts(job.names().front()).report("loss_matched", lowest);
  return best;
}

}  // namespace assay
