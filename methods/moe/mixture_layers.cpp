#include "methods/moe/mixture_layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr std::string_view kExperts = "experts.", kWeightSuffix = ".weight";
constexpr std::array<std::string_view, 3> kReadUnits = {"w2", "down_proj", "wo"};
constexpr std::array<std::string_view, 2> kActivated = {"w1", "gate_proj"};
constexpr std::array<std::string_view, 2> kOtherInputs = {"w3", "up_proj"};
constexpr std::string_view kPlainInput = "wi";
constexpr std::array<std::string_view, 2> kRouters = {"gate.weight", "router.classifier.weight"};

template <size_t N>
bool one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct ExpertName {
  std::string block;   ///< what precedes "experts."
  std::string prefix;  ///< what precedes the number
  int64_t expert;
  std::string part;  ///< what follows its number
};

std::optional<ExpertName> expert_name(const std::string& tensor) {
  const size_t at = tensor.rfind(fmt::format(".{}", kExperts));
  if (at == std::string::npos) return std::nullopt;
  size_t first = at + 1 + kExperts.size();
  constexpr std::string_view kSwitch = "expert_";
  if (tensor.compare(first, kSwitch.size(), kSwitch) == 0) first += kSwitch.size();
  size_t last = first;
  while (last < tensor.size() && tensor[last] >= '0' && tensor[last] <= '9') ++last;
  if (last == first || last - first > 6 || last == tensor.size() || tensor[last] != '.')
    return std::nullopt;
  return ExpertName{tensor.substr(0, at + 1), tensor.substr(0, first),
                    std::stoll(tensor.substr(first, last - first)), tensor.substr(last + 1)};
}

ExpertPart part_of(const std::string& part, const std::string& tensor, std::string_view method) {
  const bool is_weight = part.ends_with(kWeightSuffix);
  const std::string name = is_weight ? part.substr(0, part.size() - kWeightSuffix.size()) : part;
  const bool known = one_of(kReadUnits, name) || one_of(kActivated, name) ||
                     one_of(kOtherInputs, name) || name == kPlainInput;
  if (!is_weight || !known)
    throw SkipCell(fmt::format(
        "{} knows experts that are feed-forwards without biases, and this model has '{}'", method,
        tensor));
  return {name, one_of(kReadUnits, name), one_of(kActivated, name) || name == kPlainInput};
}

}  // namespace

std::string MixtureLayer::tensor(int64_t expert, size_t part) const {
  return fmt::format("{}{}.{}{}", prefix, expert, parts[part].name, kWeightSuffix);
}

std::vector<MixtureLayer> mixture_layers(const std::vector<std::string>& names,
                                         std::string_view method) {
  const std::set<std::string> known(names.begin(), names.end());
  std::map<std::pair<size_t, std::string>, std::map<int64_t, std::map<std::string, std::string>>>
      blocks;  // "layers.2." before "layers.10."
  for (const std::string& name : names)
    if (const auto found = expert_name(name))
      blocks[{found->block.size(), found->block}][found->expert][found->part] = name;
  std::vector<MixtureLayer> layers;
  for (const auto& [block, experts] : blocks) {
    MixtureLayer& layer = layers.emplace_back();
    layer.prefix = expert_name(experts.begin()->second.begin()->second)->prefix;
    for (const std::string_view router : kRouters)
      if (const std::string name = block.second + std::string(router); known.contains(name))
        layer.router = name;
    if (layer.router.empty())
      throw SkipCell(
          fmt::format("{} finds no router of the experts of '{}'", method, block.second));
    for (const auto& [part, tensor] : experts.begin()->second)
      layer.parts.push_back(part_of(part, tensor, method));
    for (const auto& [expert, parts] : experts) {
      if (expert != layer.experts() || parts.size() != layer.parts.size())
        throw SkipCell(fmt::format(
            "{} knows layers whose experts are all alike and numbered from 0: those of '{}' are not",
            method, block.second));
      std::vector<std::string>& tensors = layer.tensors.emplace_back();
      for (const auto& [part, tensor] : parts) tensors.push_back(tensor);
    }
  }
  return layers;
}

void need_layers(const std::vector<MixtureLayer>& layers, std::string_view method) {
  if (layers.empty())
    throw SkipCell(fmt::format("{} works on mixtures of experts, and this model is none", method));
}

int64_t experts_left(const std::vector<MixtureLayer>& layers, int64_t asked,
                     std::string_view method) {
  need_layers(layers, method);
  const int64_t all = layers.front().experts();
  for (const MixtureLayer& layer : layers)
    if (layer.experts() != all)
      throw SkipCell(
          fmt::format("{} leaves as many experts of every layer, and '{}' has {}, '{}' {}", method,
                      layers.front().router, all, layer.router, layer.experts()));
  if (asked > all)
    throw SkipCell(fmt::format("{} is to leave {} experts ('experts') of layers that have {}",
                               method, asked, all));
  return asked == 0 ? (all + 1) / 2 : asked;
}

ExpertMatrices expert_matrices(const MixtureLayer& layer,
                               const std::function<at::Tensor(const std::string& tensor)>& read) {
  ExpertMatrices matrices;
  for (const auto& tensors : layer.tensors) {
    std::vector<at::Tensor>& parts = matrices.emplace_back();
    for (const std::string& tensor : tensors) parts.push_back(read(tensor).to(at::kDouble));
  }
  return matrices;
}

}  // namespace assay
