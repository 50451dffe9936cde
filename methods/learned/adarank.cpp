#include <ATen/ATen.h>
#include <torch/optim/adam.h>

#include <algorithm>

#include "harness/kernels/sums/weighted_sum.h"
#include "methods/learned/descent.h"
#include "methods/learned/ranked_vectors.h"
#include "methods/spectral/matrices.h"

namespace assay {
namespace {

/// AdaRank: which singular components of each task vector are merged, and coefficients per tensor,
/// such that the merged model is sure of its predictions on unlabelled examples of every task. The
/// authors take the test inputs (transductive); here they are those of the calibration data. Their
/// code reports the best of the test accuracies on the way; here the last step counts.
///
/// Memory: the singular vectors of all task vectors in float64, 8 N to 16 N bytes per weight of a
/// matrix, 12 bytes per weight (origin, merged weights and their gradient), the network's own, and
/// the activations of a batch.
struct AdaRank {
  enum class Origin { kBase, kMean };

  static constexpr MethodInfo info{
      .name = "adarank",
      .paper = "arXiv:2503.22178 §4",
      .summary =
          "singular components and coefficients of the task vectors that minimise the "
          "entropy of predictions",
      .needs = {.base = true, .calibration_inputs = true, .gradients = true},
      .identity = R"({"coefficient": 0.5, "steps": 0})",
      .flops =
          "N (4 m n^2 + 9 n^3), and per step N batches through the network and back and "
          "products of the singular components"};
  static constexpr Preset presets[] = {
      {"cart", R"({"origin": "mean", "coefficient": 2.3, "rank": 0.16})",
       "around the experts' mean, as CART: the authors' settings for 8 tasks and ViT-B/32"}};
  Origin origin = Origin::kBase;
  double rank = 1;
  double coefficient = 0.3;
  double temperature = 10;
  int64_t steps = 200;
  double learning_rate = 1e-2;
  int64_t batch = 16;
  MatrixRule matrices{kEmbeddings};

  void parameters(auto&& p) {
    p(origin, {.name = "origin",
               .choices = {"base", "mean"},
               .help = "what task vectors are differences from, and are added to: the base, as in "
                       "task arithmetic, or the experts' mean, as in CART"});
    p(rank, {.name = "rank",
             .range = {0, 1},
             .sweep = {0.16, 0.32, 1.0},
             .help = "share of a matrix's singular components whose masks begin with 1, rounded "
                     "down"});
    p(coefficient, {.name = "coefficient",
                    .range = {0, 10},
                    .help = "what all coefficients begin with; they have no bounds"});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .help = "of the sigmoid whose gradient stands for that of a mask"});
    p(steps,
      {.name = "steps",
       .range = {0, 1000000},
       .help = "steps of Adam; the authors take 10000 at 0.001 for images, and 5000 at 5e-5 for "
               "texts"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .sweep = {1e-3, 1e-2, 1e-1},
                      .help = "Adam's, with betas 0.9 and 0.999, of coefficients and logits; "
                              "logits begin with 0.1 or -0.1"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples of every expert in a step"});
    matrices.parameters(p);
  }

  Needs needs() const {
    Needs needs = info.needs;
    needs.base = origin == Origin::kBase;
    return needs;
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  RankedTensor ranked(TensorJob tensor) const;
};

RankedTensor AdaRank::ranked(TensorJob tensor) const {
  const size_t experts = tensor.experts.size();
  if (origin == Origin::kMean)
    tensor.base = scaled_sum(tensor.experts, 1 / static_cast<double>(experts));
  RankedTensor ranked{.name = tensor.name, .origin = tensor.base.to(at::kFloat)};
  if (!matrices.applies(tensor)) {
    for (const at::Tensor& expert : tensor.experts)
      ranked.vectors.push_back(expert.to(at::kFloat) - ranked.origin);
    return ranked;
  }
  ranked.components.resize(experts);
  for_each_matrix(tensor, experts,
                  [&](size_t i) { ranked.components[i] = factorize(delta_matrix(tensor, i)); });
  return ranked;
}

StateDict AdaRank::merge_model(const ModelJob& job) const {
  const Network& network = job.evidence().network();
  RankedVectors vectors(temperature, coefficient);
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    const at::Tensor& first = tensor.experts.front();
    const int64_t rows = first.dim() > 0 ? first.size(0) : 1;
    const int64_t all = rows == 0 ? 0 : std::min(rows, first.numel() / rows);
    vectors.add(ranked(tensor), static_cast<int64_t>(rank * static_cast<double>(all)));
  }
  torch::optim::Adam adam(vectors.parameters(), torch::optim::AdamOptions(learning_rate));
  const auto entropy = [&](const StateDict& weights, int64_t step) {
    return add_entropy_gradients(network, weights, job.num_experts(), step, batch);
  };
  const auto update = [&](int64_t) {
    adam.step();
    adam.zero_grad();
  };
  return descend(vectors, {"adarank", "entropy", steps, entropy, update}, job);
}

ASSAY_METHOD(AdaRank)

}  // namespace
}  // namespace assay
