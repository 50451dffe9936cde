/// How alike the experts of a layer are.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "methods/moe/mixture_layers.h"
#include "methods/moe/routing.h"

namespace assay {

enum class ExpertSimilarity {
  kRouterLogits,  ///< their logits over all tokens
  kRouterWeight,  ///< their rows of the router
  kExpertWeight,  ///< all their matrices
  kExpertInputs,  ///< those that read the input
  kExpertOutput,  ///< their mean output on all tokens
  kFeature,       ///< the mean input of the tokens that are sent to them
  kRandom         ///< chance: in place of inner products, symmetric draws
};

/// Inner products [experts, experts], float64, of what experts are compared by. `router`: the
/// router's weight. `routing`: read where the similarity is of data.
at::Tensor expert_products(ExpertSimilarity similarity, const MixtureLayer& layer,
                           const ExpertMatrices& experts, const at::Tensor& router,
                           const Routing& routing, uint64_t key);

/// Inner products of vectors as similarities: cosines (0 with a vector of zeros), or minus
/// Euclidean distances.
at::Tensor cosines(const at::Tensor& products);
at::Tensor minus_distances(const at::Tensor& products);

}  // namespace assay
