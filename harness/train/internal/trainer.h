/// The steps of a training.
#pragma once

#include <string>

#include "harness/train/internal/saved_state.h"
#include "harness/train/internal/trained_weights.h"
#include "harness/train/internal/training_data.h"

namespace assay {

struct TrainingJob {
  const Architecture& architecture;
  const CheckpointRecipe& recipe;
  const TrainedWeights& weights;
  const TrainingData& data;
  const TrainingData* validation;  ///< null without early stopping
  const StateFile& saved;
  std::string where;  ///< the checkpoint, for messages
};

/// Trains the weights in place, from the saved state where there is one. The weights are then the
/// last ones, or with early stopping the best. The state's cost is that of all its runs. DataError
/// when the loss is not finite; the state saved last stays.
TrainingState run_training(const TrainingJob& job);

}  // namespace assay
