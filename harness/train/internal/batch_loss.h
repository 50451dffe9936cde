/// The loss of a batch of examples, one micro-batch after the other.
#pragma once

#include <span>
#include <vector>

#include "harness/train/internal/trainer.h"

namespace assay {

/// The examples at these places in at least `parts` micro-batches (micro_batches.h).
std::vector<std::vector<int64_t>> micro_batches_of(const TrainingData& data,
                                                   std::span<const int64_t> places, int64_t parts);

/// The mean loss over all rows of the micro-batches of a step, whose gradients are added to the
/// trained weights'. How the step is divided changes them by rounding alone. Running moments move
/// once for each micro-batch. DataError when the loss is not finite.
double add_gradients(const TrainingJob& job, const std::vector<std::vector<int64_t>>& batches,
                     int64_t step);

/// The mean loss over all rows of the validation examples, without gradients.
double validation_loss(const TrainingJob& job);

}  // namespace assay
