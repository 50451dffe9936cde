#include "harness/calibration/passes.h"

#include <algorithm>
#include <map>
#include <string>

#include "harness/calibration/statistic.h"
#include "harness/model/layers_of.h"

namespace assay {
namespace {

// Layers by the input that they share, in the order of the inputs' first readers.
std::vector<std::vector<LayerInfo>> by_input(const std::vector<LayerInfo>& layers) {
  std::map<std::string, size_t> places;
  std::vector<std::vector<LayerInfo>> groups;
  for (const LayerInfo& layer : layers) {
    const auto [place, is_new] = places.emplace(layer.input, groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(layer);
  }
  return groups;
}

}  // namespace

StatisticPasses passes_of(const Statistic& statistic, const Architecture& architecture,
                          int64_t memory_bytes, int64_t batch_tokens, int64_t at_once) {
  const auto bytes_of = [&](const std::vector<LayerInfo>& layers) {
    const NetworkShape network{architecture, layers};
    return statistic.working_bytes(network) + at_once * statistic.part_bytes(network, batch_tokens);
  };
  const std::vector<LayerInfo> all = layers_of(architecture);
  StatisticPasses passes{.layers = {all}, .bytes = bytes_of(all)};
  if (!statistic.info().by_layer || memory_bytes == 0 || passes.bytes <= memory_bytes)
    return passes;
  passes.layers.clear();
  passes.bytes = 0;
  int64_t taken = 0;
  for (const std::vector<LayerInfo>& group : by_input(all)) {
    const int64_t bytes = bytes_of(group);
    if (passes.layers.empty() || taken + bytes > memory_bytes) {
      passes.layers.emplace_back();
      taken = 0;
    }
    passes.layers.back().insert(passes.layers.back().end(), group.begin(), group.end());
    taken += bytes;
    passes.bytes = std::max(passes.bytes, taken);
  }
  return passes;
}

}  // namespace assay
