#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "harness/method/hidden_states.h"
#include "methods/moe/routers/directions.h"

namespace assay {
namespace {

/// Gates of linear discriminant analysis: a token goes to the expert whose mean state is near, as
/// measured by how states differ within the experts' examples. The constant that the analysis adds
/// to each score is left out, as a gate has none; with it the equal norms that a norm gives to
/// states would make little difference.
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
  }

  std::vector<at::Tensor> gates(const RouterJob& job) const {
    const OneThread one;  // on the CPU, sums over more threads would go in another order
    const Network& network = job.models.evidence().network();
    std::vector<Moments> moments(job.gates.size() * job.experts);
    for (size_t i = 0; i < job.experts; ++i)
      for (int64_t first = 0; first < network.examples(i); first += batch) {
        const int64_t count = std::min(batch, network.examples(i) - first);
        const std::vector<at::Tensor> states =
            hidden_states(network).states(i, first, count, tap, HiddenStates::Tokens::kAll);
        for (size_t block = 0; block < job.gates.size(); ++block)
          moments[block * job.experts + i].add(states.at(block));
      }
    std::vector<at::Tensor> gates;
    for (size_t block = 0; block < job.gates.size(); ++block)
      gates.push_back(gate(&moments[block * job.experts], job.experts) / temperature);
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

  at::Tensor gate(const Moments* of_experts, size_t experts) const {
    at::Tensor scatter = of_experts[0].scatter();
    std::vector<at::Tensor> means{of_experts[0].mean()};
    int64_t count = of_experts[0].count;
    for (size_t i = 1; i < experts; ++i) {
      scatter = scatter + of_experts[i].scatter();
      means.push_back(of_experts[i].mean());
      count += of_experts[i].count;
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

  static constexpr double kFloor = 1e-6;  ///< keeps a covariance of few examples regular
};

ASSAY_ROUTER(Centroid)

}  // namespace
}  // namespace assay
