/// The loop of methods that learn coefficients through the network of the merged model.
#pragma once

#include <functional>
#include <string>

#include "methods/learned/coefficients.h"

namespace assay {

/// Some of an expert's calibration examples.
struct ExampleBatch {
  int64_t first, count;
};

/// How many batches an expert's examples make.
int64_t batches_of(const Network& network, size_t expert, int64_t batch);
/// The examples of a step. Batches go over an expert's examples in order, again and again.
ExampleBatch batch_of(const Network& network, size_t expert, int64_t step, int64_t batch);

/// How many steps it takes to see the examples of the expert that has most of them so many times.
int64_t steps_of(const Network& network, size_t experts, int64_t epochs, int64_t batch);

/// The mean negative log-probability of the batch's true classes. `scale`: multiplies the scores;
/// undefined: 1.
at::Tensor cross_entropy(const Network& network, const StateDict& weights, size_t expert,
                         ExampleBatch batch, const at::Tensor& scale = {});

/// Test-time adaptation: the mean entropy of the predictions on each expert's batch of a step. Adds
/// the gradients of its sum over experts to the weights; returns the mean over experts, in nats.
double add_entropy_gradients(const Network& network, const StateDict& weights, size_t experts,
                             int64_t step, int64_t batch);

/// What a method gives to the loop.
struct Descent {
  std::string method;  ///< for messages
  std::string loss_name = "loss";
  int64_t steps = 0;
  /// Adds the loss' gradients to the weights, and any others to the model's parameters. Returns the
  /// loss as it is reported.
  std::function<double(const StateDict& weights, int64_t step)> loss;
  /// Changes the model's parameters by their gradients, and clears these.
  std::function<void(int64_t step)> update;
};

/// Runs the steps and returns the merged weights. Reports the mean loss of the first and of the
/// last tenth of the steps, and what was learned. LibTorch's operators stay on one thread, so
/// that the bytes do not depend on how many there are. DataError when the loss is not finite.
StateDict descend(const LearnedWeights& model, const Descent& descent, const ModelJob& job);

}  // namespace assay
