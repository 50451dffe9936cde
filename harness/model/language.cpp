#include "harness/model/language.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay {

KvCache KvCache::select(const at::Tensor& index) const {
  KvCache chosen;
  if (!positions.defined()) return chosen;
  chosen.positions = positions.index_select(0, index.to(positions.device()));
  for (const Layer& layer : layers) {
    const at::Tensor rows = index.to(layer.keys.device());
    chosen.layers.push_back({layer.keys.index_select(0, rows), layer.values.index_select(0, rows)});
  }
  return chosen;
}

void KvCache::truncate(int64_t tokens) {
  if (tokens <= 0) {
    *this = {};
    return;
  }
  if (tokens >= this->tokens()) return;
  positions = positions.narrow(1, 0, tokens);
  for (Layer& layer : layers) {
    // A forward pass that failed has extended only some of the layers.
    if (!layer.keys.defined()) continue;
    layer.keys = layer.keys.narrow(2, 0, tokens);
    layer.values = layer.values.narrow(2, 0, tokens);
  }
}

at::Tensor LanguageArchitecture::logits(const StateDict& weights, const at::Tensor& ids) const {
  if (ids.dim() != 2)
    data_error("a language model takes ids of shape [rows, tokens], found {}",
               shape_text(ids.sizes()));
  return vocabulary_logits(weights, hidden(weights, {ids}, nullptr));
}

}  // namespace assay
