/// The size of a routed ensemble, counted.
#pragma once

#include "harness/checkpoint/tensors.h"
#include "harness/model/layers_of.h"
#include "harness/model/routed.h"
#include "results/model_size.h"

namespace assay {

/// Parameters and bytes are those of all that is stored. Active, and multiplied for a token, is
/// what answers it: of members of different sizes the largest, each as model_size() counts it. What
/// is mixed by layers or hidden states has one head. What the router's passes multiply for a token
/// of a prompt is counted apart: each member's pass of perplexity, and of gradients the base's
/// there and back, which is three times as much.
ModelSize routed_size(const RoutedArchitecture& architecture, const TensorSource& weights,
                      ForwardProfiles& profiles);

}  // namespace assay
