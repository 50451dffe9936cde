#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/hidden_states.h"
#include "methods/moe/expert_groups.h"
#include "methods/moe/routers/directions.h"

namespace assay {
namespace {

/// Gates of linear discriminant analysis: a token goes to the expert whose mean state is near, as
/// measured by how states differ within the experts' examples. The constant that the analysis adds
/// to each score is left out, as a gate has none; with it the equal norms that a norm gives to
/// states would make little difference. An expert whose examples lie in several places may have as
/// many rows, each a class of its own.
struct Centroid {
  static constexpr RouterInfo info{
      .name = "centroid",
      .paper = "https://en.wikipedia.org/wiki/Linear_discriminant_analysis",
      .summary = "mean states of each expert's examples, whitened by how states differ within them",
      .needs = {.base = true, .calibration_inputs = true}};
  double shrinkage = 0.1;
  HiddenStates::Tap tap = HiddenStates::Tap::kFeedForwardInput;
  double temperature = 1;
  int64_t batch = 16;
  int64_t centroids = 1;

  void parameters(auto&& p) {
    p(shrinkage, {.name = "shrinkage",
                  .range = {0, 1},
                  .sweep = {0.01, 0.1, 1},
                  .help = "the share of a multiple of the identity in the covariance that whitens, "
                          "which a few examples do not determine; 1: nothing is whitened"});
    p(tap, {.name = "tap",
            .choices = {"block_input", "router_input"},
            .help = "the states: of the residual stream before a block, or what the router reads "
                    "when the mixture runs"});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .sweep = {0.3, 1, 3},
                    .help = "divides the gates, whose rows have the mean square length 1"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
    p(centroids, {.name = "centroids",
                  .range = {1, 64},
                  .help = "of each expert, by k-means over its examples' states; with several the "
                          "mixture has the compact form, which Assay alone reads"});
  }
  int64_t rows_per_expert() const { return centroids; }

  std::vector<at::Tensor> gates(const RouterJob& job) const {
    const OneThread one;  // on the CPU, sums over more threads would go in another order
    const Network& network = job.models.evidence().network();
    std::vector<std::vector<Moments>> classes(job.gates.size());
    for (size_t i = 0; i < job.experts; ++i) {
      std::vector<Moments> sums(job.gates.size());
      std::vector<std::vector<at::Tensor>> states(job.gates.size());  // kept for k-means alone
      for (int64_t first = 0; first < network.examples(i); first += batch) {
        const int64_t count = std::min(batch, network.examples(i) - first);
        const std::vector<at::Tensor> found =
            hidden_states(network).states(i, first, count, tap, HiddenStates::Tokens::kAll);
        for (size_t block = 0; block < states.size(); ++block)
          if (centroids == 1)
            sums[block].add(found.at(block));
          else
            states[block].push_back(found.at(block));
      }
      for (size_t block = 0; block < states.size(); ++block)
        if (centroids == 1)
          classes[block].push_back(std::move(sums[block]));
        else
          for (Moments& own : clustered(at::cat(states[block])))
            classes[block].push_back(std::move(own));
    }
    std::vector<at::Tensor> gates;
    for (const std::vector<Moments>& of_block : classes)
      gates.push_back(gate(of_block) / temperature);
    check_gates(job, gates);
    return gates;
  }

 private:
  /// Sums over states float64 [examples, width].
  struct Moments {
    at::Tensor sum, squares;
    int64_t count = 0;

    void add(const at::Tensor& states) {
      const at::Tensor own = states.sum(0), own_squares = at::mm(states.t(), states);
      sum = count == 0 ? own : sum + own;
      squares = count == 0 ? own_squares : squares + own_squares;
      count += states.size(0);
    }
    at::Tensor mean() const { return sum / static_cast<double>(count); }
    at::Tensor scatter() const { return squares - at::outer(sum, mean()); }
  };

  /// Of the classes that one expert's states [tokens, width] are divided into.
  std::vector<Moments> clustered(const at::Tensor& states) const {
    if (states.size(0) < centroids)
      user_error(
          "the router centroid finds {} centroids ('centroids') among {} examples of an "
          "expert: expected as many examples",
          centroids, states.size(0));
    const at::Tensor centred = states - states.mean(0);
    std::vector<Moments> made;
    for (const std::vector<int64_t>& members :
         group_by_means(at::mm(centred, centred.t()), centroids, kKey))
      made.emplace_back().add(
          states.index_select(0, at::tensor(members, at::kLong).to(states.device())));
    return made;
  }

  at::Tensor gate(const std::vector<Moments>& classes) const {
    at::Tensor scatter = classes[0].scatter();
    std::vector<at::Tensor> means{classes[0].mean()};
    int64_t count = classes[0].count;
    for (size_t i = 1; i < classes.size(); ++i) {
      scatter = scatter + classes[i].scatter();
      means.push_back(classes[i].mean());
      count += classes[i].count;
    }
    const at::Tensor within = scatter / static_cast<double>(count);
    const double spread =
        std::max(within.diagonal().mean().item<double>(), 1e-30);  // of one example each
    const at::Tensor whitening =
        (1 - shrinkage) * within +
        (shrinkage + kFloor) * spread * at::eye(within.size(0), within.options());
    const at::Tensor rows = at::linalg_solve(whitening, at::stack(means).t(), true).t();
    const at::Tensor length = rows.square().sum(1).mean().sqrt().clamp_min(1e-30);
    return (rows / length).to(at::kFloat).contiguous();
  }

  /// k-means begins alike for every seed, so that the router is not a randomised one.
  static constexpr uint64_t kKey = 1;
  static constexpr double kFloor = 1e-6;  ///< keeps a covariance of few examples regular
};

ASSAY_ROUTER(Centroid)

}  // namespace
}  // namespace assay
