/// How the experts of a layer are put into groups.
#pragma once

#include <cstdint>

#include "methods/moe/expert_similarity.h"
#include "methods/moe/grouped_layer.h"

namespace assay {

struct GroupChoice {
  enum class Grouping {
    kUsage,    ///< group_by_usage()
    kLinkage,  ///< group_by_linkage()
    kMeans,    ///< group_by_means()
    kRandom    ///< random_groups()
  };
  enum class Measure { kCosine, kDistance };

  Grouping grouping = Grouping::kUsage;
  ExpertSimilarity similarity = ExpertSimilarity::kRouterLogits;
  Measure measure = Measure::kCosine;
  int64_t capacity = 0;  ///< of kUsage: the most members; 0: no limit

  /// Whether experts are compared with each other.
  bool compares() const { return grouping != Grouping::kRandom; }
  bool is_random() const {
    return grouping == Grouping::kRandom || grouping == Grouping::kMeans ||
           similarity == ExpertSimilarity::kRandom;
  }
  /// `layer`: its experts, their router and, where the choice reads it, the routing. `key`: of
  /// random numbers.
  ExpertGroups groups_of(const GroupedLayer& layer, int64_t groups, uint64_t key) const;
};

}  // namespace assay
