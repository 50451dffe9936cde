/// The permutation symmetries of an architecture, found by running it without weights.
#pragma once

#include <vector>

#include "harness/method/permutation.h"
#include "harness/model/architecture.h"

namespace assay {

/// Every group of units that can be reordered, in the order in which a forward pass first meets
/// them, under the names of Architecture::tensors(). Found in one pass of example_batch() that
/// multiplies by no weight: layers create axes, the operators between them join or split these
/// (model/internal/axis_rules.h). Left out: units whose order matters to an operator, as that of
/// rotary embeddings, to an operator without a rule, or to who reads the network's inputs and
/// outputs; and groups with a single axis.
std::vector<PermutationGroup> permutations_of(const Architecture& architecture);

/// The same under the names that a checkpoint stores. A group of which it lacks a tensor remains
/// where the lacking tensor is tied to one that it has.
std::vector<PermutationGroup> permutations_of(const Architecture& architecture,
                                              const std::vector<TensorInfo>& stored);

}  // namespace assay
