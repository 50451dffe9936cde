#include "methods/moe/dropping_routes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace assay {

DroppingRoutes::DroppingRoutes(const std::vector<MixtureLayer>& layers, const DropRule& rule)
    : rule_(rule) {
  for (const MixtureLayer& names : layers) {
    Layer& layer = layers_[names.router];
    layer.left.resize(names.tensors.size());
    std::iota(layer.left.begin(), layer.left.end(), int64_t{0});
    layer.chosen.assign(names.tensors.size(), 0);
  }
}

RouteTokens DroppingRoutes::route(size_t /*expert*/, int64_t /*step*/) {
  return [this](const TokensToRoute& tokens) {
    Layer& layer = layers_.at(tokens.router);
    const at::Device device = tokens.logits.device();
    const at::Tensor dropped = at::ones({tokens.logits.size(1)}, at::TensorOptions(at::kBool))
                                   .index_fill(0, at::tensor(layer.left, at::kLong), false)
                                   .to(device);
    ExpertChoice choice =
        tokens.own(tokens.logits.masked_fill(dropped, -std::numeric_limits<double>::infinity()));
    at::Tensor sent = choice.experts;
    if (tokens.counted.defined())
      sent = sent.index_select(0, tokens.counted.nonzero().flatten().to(device));
    const at::Tensor counts = at::bincount(sent.flatten(), {}, tokens.logits.size(1)).cpu();
    for (size_t i = 0; i < layer.chosen.size(); ++i)
      layer.chosen[i] += static_cast<double>(counts.const_data_ptr<int64_t>()[i]);
    return choice;
  };
}

void DroppingRoutes::stepped(double seen) {
  for (auto& [unused, layer] : layers_) {
    const bool last = seen >= rule_.until, first = layer.usage.empty();
    const double all = std::accumulate(layer.chosen.begin(), layer.chosen.end(), 0.0);
    if (all == 0 && !last) continue;  // the router saw nothing that counts
    layer.usage.resize(layer.chosen.size());
    for (size_t i = 0; i < layer.chosen.size() && all > 0; ++i) {
      const double share = std::exchange(layer.chosen[i], 0) / all;
      layer.usage[i] = first ? share : rule_.decay * layer.usage[i] + (1 - rule_.decay) * share;
    }
    drop(layer, last);
  }
}

void DroppingRoutes::drop(Layer& layer, bool last) const {
  const double least = last ? std::numeric_limits<double>::infinity()
                            : rule_.below / static_cast<double>(layer.left.size());
  const auto usage = [&](int64_t expert) { return layer.usage[static_cast<size_t>(expert)]; };
  std::stable_sort(layer.left.begin(), layer.left.end(),
                   [&](int64_t a, int64_t b) { return usage(a) > usage(b); });
  while (static_cast<int64_t>(layer.left.size()) > rule_.left && usage(layer.left.back()) < least)
    layer.left.pop_back();
  std::sort(layer.left.begin(), layer.left.end());
}

}  // namespace assay
