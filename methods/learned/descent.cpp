#include "methods/learned/descent.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"

namespace assay {
namespace {

/// Adds the gradient of the mean entropy of the predictions; returns that entropy, in nats.
double add_entropy_gradient(const Network& network, const StateDict& weights, size_t expert,
                            ExampleBatch batch) {
  const at::Tensor logs =
      at::log_softmax(network.logits(weights, expert, batch.first, batch.count), 1);
  const at::Tensor entropy = -(logs.exp() * logs).sum(1).mean();
  entropy.backward();
  return entropy.item<double>();
}

}  // namespace

int64_t batches_of(const Network& network, size_t expert, int64_t batch) {
  return (network.examples(expert) + batch - 1) / batch;
}

ExampleBatch batch_of(const Network& network, size_t expert, int64_t step, int64_t batch) {
  const int64_t first = step % batches_of(network, expert, batch) * batch;
  return {first, std::min(batch, network.examples(expert) - first)};
}

int64_t steps_of(const Network& network, size_t experts, int64_t epochs, int64_t batch) {
  int64_t most = 0;
  for (size_t i = 0; i < experts; ++i) most = std::max(most, batches_of(network, i, batch));
  return epochs * most;
}

at::Tensor cross_entropy(const Network& network, const StateDict& weights, size_t expert,
                         ExampleBatch batch, const at::Tensor& scale) {
  const at::Tensor scores = network.logits(weights, expert, batch.first, batch.count);
  return at::cross_entropy_loss(scale.defined() ? scores * scale : scores,
                                network.targets(expert, batch.first, batch.count));
}

double add_entropy_gradients(const Network& network, const StateDict& weights, size_t experts,
                             int64_t step, int64_t batch) {
  double sum = 0;
  for (size_t i = 0; i < experts; ++i)
    sum += add_entropy_gradient(network, weights, i, batch_of(network, i, step, batch));
  return sum / static_cast<double>(experts);
}

StateDict descend(const LearnedWeights& model, const Descent& descent, const ModelJob& job) {
  const c10::AutoGradMode with_gradients(true);
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const int64_t tenth = std::max<int64_t>(1, descent.steps / 10);
  double loss_first = 0, loss_last = 0;
  for (int64_t step = 0; step < descent.steps; ++step) {
    const StateDict weights = model.weights(/*leaves=*/true);
    const double loss = descent.loss(weights, step);
    if (!std::isfinite(loss))
      data_error("{}: the {} is {} at step {} of {}; a smaller learning_rate may help",
                 descent.method, descent.loss_name, loss, step + 1, descent.steps);
    model.add_gradients(weights);
    descent.update(step);
    counters::gradient_steps += 1;
    if (step < tenth) loss_first += loss;
    if (step >= descent.steps - tenth) loss_last += loss;
  }
  if (!job.names().empty()) {
    const TensorParts reports = job.parts(job.names().front());
    model.report(reports);
    if (descent.steps > 0) {
      reports.report(descent.loss_name + "_first", loss_first / static_cast<double>(tenth));
      reports.report(descent.loss_name + "_last", loss_last / static_cast<double>(tenth));
    }
  }
  return model.weights(/*leaves=*/false);
}

}  // namespace assay
