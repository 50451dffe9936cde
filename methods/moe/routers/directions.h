/// What routers share that send a token to the expert whose texts it is like.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "harness/method/router.h"

namespace assay {

/// What an expert's direction is turned away from.
enum class Negatives { kNone, kOthers, kGiven };
inline constexpr const char* kNegativesHelp =
    "what is subtracted from an expert's direction: nothing, the mean direction of the others' "
    "texts, or that of the negative prompts that mergekit-moe's YAML gives";

/// The examples that the directions of gates_of() are of, as indices of experts: those of the
/// experts, and with kGiven the negative ones of each.
std::vector<std::optional<size_t>> direction_examples(const RouterJob& job, Negatives negatives);

/// Divided by its L2 norm, which counts as at least 1e-8.
at::Tensor unit(const at::Tensor& direction);

/// The sum of the embeddings of all tokens of an expert's examples, float64 [width], on the CPU.
at::Tensor embedding_sum(const Network& network, size_t expert, int64_t batch);

/// Reports the largest condition number of a gate [experts, width], and warns where it is above 5:
/// the experts' directions are alike. DataError where two rows are the same, or not finite.
void check_gates(const RouterJob& job, const std::vector<at::Tensor>& gates);

/// Gates of the directions float64 [width] of each block, of direction_examples(); undefined where
/// these are absent. An expert's is less the mean of the others' or that of its negative examples
/// with `negatives`, of unit length, divided by the temperature. They are checked.
std::vector<at::Tensor> gates_of(const RouterJob& job,
                                 const std::vector<std::vector<at::Tensor>>& directions,
                                 Negatives negatives, double temperature);

}  // namespace assay
