/// What routers share that send a token to the expert whose texts it is like.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "harness/method/router.h"

namespace assay {

/// What an expert's direction is turned away from.
enum class Negatives { kNone, kOthers };
inline constexpr const char* kNegativesHelp =
    "what is subtracted from an expert's direction: nothing, or the mean direction of the others' "
    "texts";

/// Divided by its L2 norm, which counts as at least 1e-8.
at::Tensor unit(const at::Tensor& direction);

/// Gates of one direction float64 [width] for each block and expert: less the mean of the others'
/// with `negatives`, of unit length, divided by the temperature. Reports the largest condition
/// number of a gate, and warns where it is above 5: the experts' directions are alike. DataError
/// where two are the same.
std::vector<at::Tensor> gates_of(const RouterJob& job,
                                 const std::vector<std::vector<at::Tensor>>& directions,
                                 Negatives negatives, double temperature);

}  // namespace assay
