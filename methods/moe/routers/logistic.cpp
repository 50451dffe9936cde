#include <ATen/ATen.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/hidden_states.h"
#include "methods/moe/load_balance.h"
#include "methods/moe/routers/directions.h"

namespace assay {
namespace {

/// Gates that tell whose example a text is: multinomial logistic regression, without a constant, on
/// the base's states, block by block, with Branch-Train-MiX's load balancing. Branch-Train-MiX
/// trains gates on the mixture's loss, and all weights with them; this router asks for no step
/// through the mixture.
struct Logistic {
  static constexpr RouterInfo info{
      .name = "logistic",
      .paper = "arXiv:2403.07816 §2.2",
      .summary = "gates learned to tell the experts' examples apart, with load balancing",
      .needs = {.base = true, .calibration_inputs = true}};
  int64_t steps = 200;
  double learning_rate = 0.05;
  double weight_decay = 1e-3;
  double balance = 0.01;
  int64_t top_k = 2;
  HiddenStates::Tap tap = HiddenStates::Tap::kFeedForwardInput;
  int64_t batch = 16;

  void parameters(auto&& p) {
    p(steps, {.name = "steps", .range = {1, 100000}, .help = "of Adam, each on all examples"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 10},
                      .help = "Adam's, with betas 0.9 and 0.999; falls to 0 as a cosine"});
    p(weight_decay, {.name = "weight_decay",
                     .range = {0, 10},
                     .sweep = {1e-3, 1e-2, 1e-1},
                     .help = "half of it times the squared gate is added to the loss: the larger, "
                             "the more alike are a token's weights"});
    p(balance, {.name = "balance",
                .range = {0, 100},
                .sweep = {0, 0.01, 0.1},
                .help = "the factor of the load balancing, alpha"});
    p(top_k, {.name = "top_k",
              .range = {1, 1024},
              .help = "the experts of a token whose weights the load balancing looks at; at most "
                      "all"});
    p(tap, {.name = "tap",
            .choices = {"block_input", "router_input"},
            .help = "the states: of the residual stream before a block, or what the router reads "
                    "when the mixture runs"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
  }

  std::vector<at::Tensor> gates(const RouterJob& job) const {
    const OneThread one;  // on the CPU, sums over more threads would go in another order
    const Network& network = job.models.evidence().network();
    std::vector<std::vector<at::Tensor>> states(job.gates.size());
    std::vector<int64_t> owners;
    for (size_t i = 0; i < job.experts; ++i)
      for (int64_t first = 0; first < network.examples(i); first += batch) {
        const int64_t count = std::min(batch, network.examples(i) - first);
        const std::vector<at::Tensor> found =
            hidden_states(network).states(i, first, count, tap, HiddenStates::Tokens::kAll);
        for (size_t block = 0; block < states.size(); ++block)
          states[block].push_back(found.at(block).cpu());
        owners.insert(owners.end(), static_cast<size_t>(count), static_cast<int64_t>(i));
      }
    const at::Tensor targets = at::tensor(owners, at::kLong);
    std::vector<at::Tensor> gates;
    double loss = 0;
    for (const std::vector<at::Tensor>& of_block : states)
      gates.push_back(learned(at::cat(of_block), targets, job.experts, loss));
    job.models.parts(job.gates.front())
        .report("router_loss", loss / static_cast<double>(gates.size()));
    check_gates(job, gates);
    return gates;
  }

 private:
  /// Adds the last step's loss to `sum`.
  at::Tensor learned(const at::Tensor& states, const at::Tensor& targets, size_t experts,
                     double& sum) const {
    const auto count = static_cast<int64_t>(experts);
    at::Tensor gate = at::zeros({count, states.size(1)}, at::kDouble).requires_grad_(true);
    torch::optim::Adam adam({gate}, torch::optim::AdamOptions(learning_rate));
    double loss = 0;
    for (int64_t step = 0; step < steps; ++step) {
      constexpr double kPi = 3.14159265358979323846;
      const double done = static_cast<double>(step) / static_cast<double>(steps);
      static_cast<torch::optim::AdamOptions&>(adam.param_groups().front().options())
          .lr(learning_rate * (1 + std::cos(kPi * done)) / 2);
      const at::Tensor logits = at::mm(states, gate.t());
      const at::Tensor total = at::cross_entropy_loss(logits, targets) +
                               balance * load_balance(logits, std::min(top_k, count)) +
                               weight_decay / 2 * gate.square().sum();
      adam.zero_grad();
      total.backward();
      adam.step();
      loss = total.item<double>();
    }
    if (!std::isfinite(loss)) data_error("the router's loss is {}, which is not finite", loss);
    sum += loss;
    return gate.detach().to(at::kFloat);
  }
};

ASSAY_ROUTER(Logistic)

}  // namespace
}  // namespace assay
