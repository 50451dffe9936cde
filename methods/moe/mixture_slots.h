/// Results that have fewer experts than the model that they are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/method/method.h"
#include "methods/moe/mixture_layers.h"

namespace assay {

/// The tensors of the model with `left` experts in each layer, by the names of the first ones. So
/// that the method can read all, expert i of the result is planned from every `left`-th expert from
/// i on (at the end from expert i again), and every other tensor as often from itself.
std::vector<OutputTensor> plan_slots(const TensorSource& model,
                                     const std::vector<MixtureLayer>& layers, int64_t left);

/// Adds what makes this a model of the compact form (docs/merging-experts.md): a map from the
/// router's rows to experts for each layer, planned from the router, and their number in the
/// config. SkipCell with more experts than the map's dtype, which is the router's, can count.
void add_slots(const TensorSource& model, const std::vector<MixtureLayer>& layers, int64_t left,
               OutputPlan& plan);
/// The name of a layer's map.
std::string slots_name(const MixtureLayer& layer);

/// The tensors of the model, with all of its experts, of a merge so planned, without maps. In their
/// own dtypes.
StateDict model_of_slots(const ModelJob& job, std::string_view method);

}  // namespace assay
