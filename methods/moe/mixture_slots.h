/// Results that have fewer experts than the model that they are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/method/method.h"
#include "methods/moe/expert_groups.h"
#include "methods/moe/expert_merge.h"
#include "methods/moe/mixture_layers.h"

namespace assay {

/// The tensors of the model with `left` experts in each layer, by the names of the first ones. So
/// that the method can read all, expert i of the result is planned from every `left`-th expert from
/// i on (at the end from expert i again), and every other tensor as often from itself.
std::vector<OutputTensor> plan_slots(const TensorSource& model,
                                     const std::vector<MixtureLayer>& layers, int64_t left);

/// Adds what makes this a model of the compact form (docs/merging-experts.md): a map from the
/// router's rows to experts for each layer, planned from the router, and the number of experts in
/// the config. How many a layer has is open, between one and all of them. Where layers differ in
/// it, they are told apart by their blocks: models.evidence. SkipCell with more experts than the
/// map's dtype, which is the router's, can count.
void add_slots(const PlanInputs& models, const std::vector<MixtureLayer>& layers, OutputPlan& plan);

/// Puts what the groups of a layer became into the model; an expert of its own stays as it was.
/// `compact`: once, as the first experts, with a map and without the other experts; else in the
/// place of every member.
void store_groups(const MixtureLayer& layer, const ExpertGroups& groups,
                  const std::vector<Matrices>& merged, bool compact, StateDict& model);

/// The tensors of the model, with all of its experts, of a merge so planned, without maps. In their
/// own dtypes.
StateDict model_of_slots(const ModelJob& job, std::string_view method);

}  // namespace assay
