/// The size of a model, counted.
#pragma once

#include "harness/checkpoint/tensors.h"
#include "harness/model/layers_of.h"
#include "results/model_size.h"

namespace assay {

/// Of a model with these weights, under the names that checkpoints have. The experts of a mixture
/// are read, to find those that are equal; of other models nothing is. A tensor that a checkpoint
/// does not store, as a tied head, does not count, but multiplies. Of a mixture's experts as many
/// are active as a token is sent to, and no more than differ; where they differ in size, that share
/// of all. Of a routed ensemble: routed_size(). `profiles`: kept for models of the same config.
ModelSize model_size(const Architecture& architecture, const TensorSource& weights,
                     ForwardProfiles& profiles);

}  // namespace assay
