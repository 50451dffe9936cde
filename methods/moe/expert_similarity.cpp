#include "methods/moe/expert_similarity.h"

#include <ATen/ATen.h>

#include <vector>

#include "harness/core/rng.h"

namespace assay {
namespace {

at::Tensor products_of(const at::Tensor& rows) { return rows.mm(rows.t()); }

at::Tensor products_of_weights(const MixtureLayer& layer, const ExpertMatrices& experts,
                               bool outputs_too) {
  std::vector<at::Tensor> rows;
  for (const auto& expert : experts) {
    std::vector<at::Tensor> flat;
    for (size_t p = 0; p < expert.size(); ++p)
      if (outputs_too || !layer.parts[p].reads_units) flat.push_back(expert[p].flatten());
    rows.push_back(at::cat(flat));
  }
  return products_of(at::stack(rows));
}

at::Tensor drawn_products(int64_t experts, uint64_t key) {
  Rng rng(stream_key(key, "similarity of experts"));
  at::Tensor drawn = at::zeros({experts, experts}, at::kDouble);
  for (int64_t i = 0; i < experts; ++i)
    for (int64_t j = 0; j < i; ++j) drawn[i][j] = drawn[j][i] = rng.uniform();
  return drawn;
}

}  // namespace

at::Tensor expert_products(ExpertSimilarity similarity, const MixtureLayer& layer,
                           const ExpertMatrices& experts, const at::Tensor& router,
                           const Routing& routing, uint64_t key) {
  switch (similarity) {
    case ExpertSimilarity::kRouterLogits:
      return routing.logits;
    case ExpertSimilarity::kRouterWeight:
      return products_of(router);
    case ExpertSimilarity::kExpertWeight:
      return products_of_weights(layer, experts, true);
    case ExpertSimilarity::kExpertInputs:
      return products_of_weights(layer, experts, false);
    case ExpertSimilarity::kExpertOutput:
      return products_of(routing.outputs);
    case ExpertSimilarity::kFeature:
      return products_of(routing.inputs);
    case ExpertSimilarity::kRandom:
      break;
  }
  return drawn_products(layer.experts(), key);
}

at::Tensor cosines(const at::Tensor& products) {
  const at::Tensor norms = products.diagonal().clamp_min(0).sqrt();
  const at::Tensor scale = norms.unsqueeze(1) * norms.unsqueeze(0);
  return at::where(scale > 0, products / scale, at::zeros_like(products));
}

at::Tensor minus_distances(const at::Tensor& products) {
  const at::Tensor squares = products.diagonal();
  return -(squares.unsqueeze(1) + squares.unsqueeze(0) - 2 * products).clamp_min(0).sqrt();
}

}  // namespace assay
