#include "methods/moe/fewer_experts.h"

#include <ATen/ATen.h>

#include <array>
#include <set>
#include <string>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr std::array<const char*, 3> kExpertCounts = {"num_local_experts", "num_experts",
                                                      "n_routed_experts"};

}  // namespace

Json config_of_fewer(const Json& config, int64_t left, std::string_view method) {
  Json made = config;
  bool known = false;
  for (const char* key : kExpertCounts)
    if (made.is_object() && made.contains(key)) {
      made[key] = left;
      known = true;
    }
  if (!known)
    throw SkipCell(
        fmt::format("{} changes the number of experts in config.json, 'num_local_experts', "
                    "'num_experts' or 'n_routed_experts', and this one has none of them",
                    method));
  const char* per_token = "num_experts_per_tok";
  if (made.contains(per_token) && made.at(per_token).is_number_integer() &&
      made.at(per_token).get<int64_t>() > left)
    throw SkipCell(fmt::format("{} is to leave {} experts of models that send a token to {}",
                               method, left, made.at(per_token).get<int64_t>()));
  return made;
}

void need_plain_routers(const std::vector<MixtureLayer>& layers,
                        const std::vector<OutputTensor>& tensors, std::string_view method) {
  for (const MixtureLayer& layer : layers) {
    const std::string module =
        layer.router.substr(0, layer.router.size() - std::string_view("weight").size());
    for (const OutputTensor& tensor : tensors)
      if (tensor.name.starts_with(module) && tensor.name != layer.router)
        throw SkipCell(fmt::format("{} knows routers that are one matrix, and this model has '{}'",
                                   method, tensor.name));
  }
}

OutputPlan plan_fewer(OutputPlan mixture, int64_t left, std::string_view method) {
  std::vector<std::string> names;
  for (const OutputTensor& tensor : mixture.tensors) names.push_back(tensor.name);
  const std::vector<MixtureLayer> layers = mixture_layers(names, method);
  experts_left(layers, left, method);
  need_plain_routers(layers, mixture.tensors, method);
  std::set<std::string> open;
  for (const MixtureLayer& layer : layers) {
    open.insert(layer.router);
    for (auto i = static_cast<size_t>(left); i < layer.tensors.size(); ++i)
      open.insert(layer.tensors[i].begin(), layer.tensors[i].end());
  }
  for (OutputTensor& tensor : mixture.tensors) tensor.open = open.contains(tensor.name);
  mixture.config_of = [made = config_of_fewer(mixture.config, left, method)](const StateDict&) {
    return made;
  };
  return mixture;
}

void keep_experts(const MixtureLayer& layer, const std::vector<int64_t>& kept,
                  const StateDict& model, StateDict& result) {
  for (size_t i = 0; i < layer.tensors.size(); ++i)
    for (size_t p = 0; p < layer.parts.size(); ++p)
      if (i < kept.size())
        result[layer.tensors[i][p]] = model.at(layer.tensor(kept[i], p));
      else
        result.erase(layer.tensors[i][p]);
  const at::Tensor& router = model.at(layer.router);
  result[layer.router] = router.index_select(0, at::tensor(kept, at::kLong).to(router.device()));
}

}  // namespace assay
