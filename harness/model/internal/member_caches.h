/// One KV cache of several models: their layers, one model's after the other's.
#pragma once

#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "harness/model/language.h"

namespace assay {

inline std::vector<KvCache::Layer> layer_range(const std::vector<KvCache::Layer>& layers,
                                               size_t first, size_t count) {
  if (layers.empty()) return {};
  const auto begin = layers.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

/// Calls run(i, own) for each model, of which `layers[i]` layers are its own; `own` is null without
/// a cache. The cache stays unchanged when a model fails.
template <typename Run>
void with_member_caches(KvCache* cache, const std::vector<size_t>& layers, const Run& run) {
  KvCache grown;
  size_t first = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    KvCache own;
    if (cache) own = {layer_range(cache->layers, first, layers[i]), cache->positions};
    run(i, cache ? &own : nullptr);
    grown.layers.insert(grown.layers.end(), own.layers.begin(), own.layers.end());
    grown.positions = own.positions;
    first += layers[i];
  }
  if (cache) *cache = std::move(grown);
}

}  // namespace assay
