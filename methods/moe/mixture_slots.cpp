#include "methods/moe/mixture_slots.h"

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "harness/core/error.h"

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

std::string slots_name(const MixtureLayer& layer) {
  constexpr std::string_view kEnd = "weight";
  return layer.router.substr(0, layer.router.size() - kEnd.size()).append("slots");
}

void add_slots(const TensorSource& model, const std::vector<MixtureLayer>& layers, int64_t left,
               OutputPlan& plan) {
  constexpr int64_t kMost = 256;  // bfloat16 has all numbers up to this one
  if (left > kMost)
    throw SkipCell(fmt::format(
        "the compact form has {} experts in a layer at most, and {} are left", kMost, left));
  plan.config["stored_experts"] = left;
  const size_t views = plan.tensors.front().experts.size();
  for (const MixtureLayer& layer : layers) {
    OutputTensor& slots = plan.tensors.emplace_back();
    slots.name = slots_name(layer);
    slots.experts.assign(views, {.tensor = layer.router});
    slots.shape = std::vector<int64_t>{model.find(layer.router)->shape.front()};
  }
}

StateDict model_of_slots(const ModelJob& job, std::string_view method) {
  StateDict model;
  for (const std::string& name : job.names()) model[name] = job.tensor(name).experts.front();
  for (const MixtureLayer& layer : mixture_layers(job.names(), method)) {
    model.erase(slots_name(layer));
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
