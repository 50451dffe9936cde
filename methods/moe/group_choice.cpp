#include "methods/moe/group_choice.h"

#include <ATen/ATen.h>

#include "harness/core/rng.h"

namespace assay {

ExpertGroups GroupChoice::groups_of(const GroupedLayer& layer, int64_t groups, uint64_t key) const {
  const uint64_t draws = stream_key(key, "groups of experts");
  if (grouping == Grouping::kRandom) return random_groups(layer.names.experts(), groups, draws);
  const at::Tensor products =
      expert_products(similarity, layer.names, layer.experts, layer.router, layer.routing, key)
          .cpu();
  if (grouping == Grouping::kMeans)
    return group_by_means(measure == Measure::kCosine ? cosines(products) : products, groups,
                          draws);
  const at::Tensor alike = similarity == ExpertSimilarity::kRandom ? products
                           : measure == Measure::kCosine           ? cosines(products)
                                                                   : minus_distances(products);
  return grouping == Grouping::kUsage ? group_by_usage(layer.routing.usage, alike, groups, capacity)
                                      : group_by_linkage(alike, groups);
}

}  // namespace assay
