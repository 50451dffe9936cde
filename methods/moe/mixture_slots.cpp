#include "methods/moe/mixture_slots.h"

#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <set>
#include <string>

#include "harness/core/error.h"
#include "methods/moe/mixture_form.h"

namespace assay {

std::vector<OutputTensor> plan_slots(const TensorSource& model,
                                     const std::vector<MixtureLayer>& layers, int64_t left) {
  const int64_t all = layers.front().experts(), views = (all + left - 1) / left;
  std::map<std::string, std::vector<TensorView>> of_experts;  // without views: left out
  for (const MixtureLayer& layer : layers) {
    const int64_t rows = model.find(layer.router)->shape.front();
    if (rows != all)
      throw SkipCell(fmt::format(
          "'{}' scores {} experts, and {} are stored: experts that are merged already, in the "
          "compact form, are not merged again",
          layer.router, rows, all));
    for (int64_t i = 0; i < all; ++i)
      for (size_t p = 0; p < layer.parts.size(); ++p) {
        std::vector<TensorView>& slot = of_experts[layer.tensors[static_cast<size_t>(i)][p]];
        for (int64_t from = i; i < left && from < i + views * left; from += left)
          slot.push_back({.tensor = layer.tensors[static_cast<size_t>(from < all ? from : i)][p]});
      }
  }
  std::vector<OutputTensor> planned;
  for (const TensorInfo& tensor : model.tensors()) {
    const auto slot = of_experts.find(tensor.name);
    if (slot != of_experts.end() && slot->second.empty()) continue;
    OutputTensor& output = planned.emplace_back();
    output.name = tensor.name;
    if (slot != of_experts.end())
      output.experts = slot->second;
    else
      output.experts.assign(static_cast<size_t>(views), {.tensor = tensor.name});
  }
  return planned;
}

void add_slots(const PlanInputs& models, const std::vector<MixtureLayer>& layers,
               OutputPlan& plan) {
  constexpr int64_t kMost = 256;  // bfloat16 has all numbers up to this one
  const int64_t all = layers.front().experts();
  if (all > kMost)
    throw SkipCell(fmt::format(
        "the compact form is of layers with at most {} experts, and these have {}", kMost, all));
  std::set<std::string> open;
  std::map<int64_t, MixtureLayer> by_block;
  for (const MixtureLayer& layer : layers) {
    for (size_t i = 1; i < layer.tensors.size(); ++i)
      open.insert(layer.tensors[i].begin(), layer.tensors[i].end());
    const auto block = models.evidence ? models.evidence->block(layer.router) : std::nullopt;
    // Blocks are known where numbers may differ (Needs::architecture).
    by_block[block.value_or(static_cast<int64_t>(by_block.size()))] = layer;
  }
  for (OutputTensor& tensor : plan.tensors) tensor.open = open.contains(tensor.name);
  const size_t views = plan.tensors.front().experts.size();
  for (const MixtureLayer& layer : layers) {
    OutputTensor& slots = plan.tensors.emplace_back();
    slots.name = slots_name(layer.router);
    slots.experts.assign(views, {.tensor = layer.router});
    slots.shape = std::vector<int64_t>{models.experts.front()->find(layer.router)->shape.front()};
    slots.made = true;
  }
  plan.config["stored_experts"] = all;
  plan.config_of = [config = plan.config, by_block](const StateDict& made) {
    std::vector<int64_t> stored;
    std::set<int64_t> numbers;
    for (const auto& [block, layer] : by_block) {
      stored.resize(static_cast<size_t>(block) + 1);
      for (const auto& tensors : layer.tensors)
        stored.back() += made.contains(tensors.front()) ? 1 : 0;
      numbers.insert(stored.back());
    }
    Json of_made = config;
    of_made["stored_experts"] = numbers.size() == 1 ? Json(*numbers.begin()) : Json(stored);
    return of_made;
  };
}

void store_groups(const MixtureLayer& layer, const ExpertGroups& groups,
                  const std::vector<Matrices>& merged, bool compact, StateDict& model) {
  std::vector<int64_t> slots(static_cast<size_t>(layer.experts()));
  std::vector<Matrices> stored;  // read before any is written
  for (size_t g = 0; g < groups.size(); ++g) {
    Matrices& own = stored.emplace_back();
    for (size_t p = 0; p < layer.parts.size(); ++p)
      own.push_back(groups[g].size() == 1 ? model.at(layer.tensor(groups[g].front(), p))
                                          : merged[g][p].to(at::kFloat));
    for (const int64_t e : groups[g]) slots[static_cast<size_t>(e)] = static_cast<int64_t>(g);
  }
  for (size_t e = 0; e < slots.size(); ++e) {
    const size_t from = compact ? e : static_cast<size_t>(slots[e]);
    for (size_t p = 0; p < layer.parts.size(); ++p)
      if (from < stored.size())
        model[layer.tensors[e][p]] = stored[from][p];
      else
        model.erase(layer.tensors[e][p]);
  }
  if (compact)
    model[slots_name(layer.router)] =
        at::tensor(slots, at::kFloat).to(model.at(layer.router).device());
}

StateDict model_of_slots(const ModelJob& job, std::string_view method) {
  StateDict model;
  for (const std::string& name : job.names()) model[name] = job.tensor(name).experts.front();
  for (const MixtureLayer& layer : mixture_layers(job.names(), method)) {
    model.erase(slots_name(layer.router));
    const int64_t left = layer.experts(), all = model.at(layer.router).size(0);
    for (int64_t slot = 0; slot < left; ++slot)
      for (size_t p = 0; p < layer.parts.size(); ++p) {
        const TensorJob views = job.tensor(layer.tensors[static_cast<size_t>(slot)][p]);
        for (int64_t i = slot; i < all; i += left)
          model[layer.tensor(i, p)] = views.experts[static_cast<size_t>(i / left)];
      }
  }
  return model;
}

}  // namespace assay
