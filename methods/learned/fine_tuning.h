/// Training of a merge's result on the experts' own examples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "methods/learned/imitation.h"
#include "methods/moe/training_routes.h"

namespace assay {

/// Some of a model's tensors, trained for so many tokens.
struct FineTuningStage {
  int64_t tokens = 0;
  std::function<bool(const std::string& tensor)> trains;
  TrainingRoutes* routes = nullptr;  ///< null: as the model sends them
};

/// How a model is trained. The loss of a step is the mean over experts of the cross entropy on a
/// batch of each one's examples, plus what the weights below add.
struct FineTuning {
  std::string method;  ///< for messages
  double learning_rate = 1e-4, weight_decay = 0.01, clip_norm = 1;
  bool decay = true;   ///< the learning rate falls linearly to 0 over each stage
  int64_t batch = 4;   ///< examples of every expert in a step
  double balance = 0;  ///< of the sum over routers of load_balance(), over the tokens of a step
  double distillation = 0;  ///< of the divergence from the teacher's scores (ImitationLoss::kl)
  double temperature = 2;
  bool keep_equal = false;  ///< tensors that are equal before stay so: they are trained as one
  /// A teacher's scores of a batch; not called without distillation.
  std::function<ExpertScores(size_t expert, ExampleBatch batch, at::Device device)> teacher{};
};

/// What training took and gave.
struct FineTuned {
  StateDict weights;  ///< float32
  int64_t steps = 0, tokens = 0;
  int64_t parameters = 0;  ///< that were trained in the stage that trained most of them
  /// The sum over stages of trained parameters times tokens: what training costs.
  double parameter_tokens = 0;
  /// Mean cross entropy of the first and of the last tenth of the steps.
  double loss_first = 0, loss_last = 0;
};

/// Trains with AdamW, stage after stage. A stage ends with the step in which it has seen its
/// tokens: rows of scores that the loss looks at, of language models tokens of answers. Running
/// moments and what the network does not use stay as they are. LibTorch's operators stay on
/// one thread, so that the bytes do not depend on how many there are. UserError when a stage trains
/// nothing; DataError when the loss is not finite.
FineTuned fine_tuned(const StateDict& model, const Network& network, size_t experts,
                     const std::vector<FineTuningStage>& stages, const FineTuning& how);

}  // namespace assay
