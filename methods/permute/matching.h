/// Which unit of one network does the work of which unit of another.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/method/layer_inputs.h"
#include "methods/permute/units.h"

namespace assay {

struct Matching {
  /// Of each group, the other network's unit for each of the first one's.
  std::vector<UnitOrder> orders;
  /// Float64 [units, units]: how alike each unit of the first network (rows) and each of the other
  /// (columns, in that one's own order) are; larger is more alike.
  std::vector<at::Tensor> similarities;
  int64_t sweeps = 0;  ///< of weight matching
};

/// Weight matching, Ainsworth et al., arXiv:2209.04836 §3.2: coordinate ascent over groups, in an
/// order drawn from the key in each sweep, on the inner product of the first network's weights and
/// the other's reordered ones, until no group's product grows or `max_sweeps` are over. Running
/// moments do not count. `start`: where the search starts; empty: the identity.
Matching match_weights(const UnitGroups& groups, const StateDict& first, const StateDict& other,
                       uint64_t key, int64_t max_sweeps, std::vector<UnitOrder> start = {});

enum class UnitSimilarity {
  kCorrelation,  ///< Pearson's; 0 where a unit does not vary
  kDistance,     ///< minus the squared distance of activations, a mean over rows
  kProduct       ///< the mean product of activations
};

/// The examples that both networks run on: those of every expert, batch by batch.
struct MatchingData {
  const LayerInputs& network;
  std::vector<int64_t> examples;  ///< of each expert
  int64_t batch = 64;
};
MatchingData matching_data(const ModelJob& job, int64_t batch);

/// What units are compared by: float64 sums over all examples at one place of a network.
struct PairMoments {
  double rows = 0;
  at::Tensor sum_a, sum_b, squares_a, squares_b;  ///< [units]
  at::Tensor products;                            ///< [units, units]

  void add(const at::Tensor& a, const at::Tensor& b);
  at::Tensor similarity(UnitSimilarity kind) const;
};

/// Where units are compared on data.
enum class UnitPlaces {
  kAll,  ///< wherever a layer reads or gives them
  kLast  ///< where the last layer that reads them does: after norm, sum and activation function
};

/// The similarities of all units of two networks by their activations, a matrix per group: means
/// over these places.
std::vector<at::Tensor> activation_similarities(const UnitGroups& groups, const Evidence& evidence,
                                                const MatchingData& data, const StateDict& first,
                                                const StateDict& other, UnitSimilarity kind,
                                                UnitPlaces places);

/// The same of the units of all networks together, a matrix [networks * units, networks * units]
/// per group: those of the first network come first.
std::vector<at::Tensor> joint_similarities(const UnitGroups& groups, const Evidence& evidence,
                                           const MatchingData& data,
                                           const std::vector<StateDict>& networks,
                                           UnitSimilarity kind, UnitPlaces places);

/// Matching in both spaces, Xu et al., arXiv:2403.01753 §3.2: as match_weights(), by the sum of
/// `balance` times the correlation of the units' weights, all those of a unit one vector, and the
/// rest times their similarity on data. Unlike an inner product such a sum is no objective that all
/// groups share; each group's own is what has to grow.
Matching match_both(const UnitGroups& groups, const StateDict& first, const StateDict& other,
                    const std::vector<at::Tensor>& similarities, double balance, uint64_t key,
                    int64_t max_sweeps);

/// Activation matching: the assignment with the largest sum of similarities, group by group.
Matching match_activations(const UnitGroups& groups, std::vector<at::Tensor> similarities);

}  // namespace assay
