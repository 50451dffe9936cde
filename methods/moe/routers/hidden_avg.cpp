#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "harness/method/hidden_states.h"
#include "methods/moe/routers/directions.h"

namespace assay {
namespace {

/// Gates whose rows are the mean hidden states of the base on each expert's examples. mergekit-moe
/// takes what a block reads, though a router reads what the block's feed-forward does.
struct HiddenAvg {
  static constexpr RouterInfo info{
      .name = "hidden_avg",
      .paper = "https://github.com/arcee-ai/mergekit (mergekit-moe)",
      .summary = "mean hidden states of the base on each expert's examples",
      .needs = {.base = true, .calibration_inputs = true}};
  HiddenStates::Tap tap = HiddenStates::Tap::kBlockInput;
  HiddenStates::Tokens tokens = HiddenStates::Tokens::kAll;
  Negatives negatives = Negatives::kNone;
  double temperature = 1;
  int64_t batch = 16;

  void parameters(auto&& p) {
    p(tap, {.name = "tap",
            .choices = {"block_input", "router_input"},
            .help = "the states: of the residual stream before a block, as mergekit-moe has it, or "
                    "what the router reads when the mixture runs"});
    p(tokens,
      {.name = "tokens",
       .choices = {"all", "last"},
       .help = "the mean over all tokens of an example, or its last token's (mergekit-moe's "
               "'hidden')"});
    p(negatives,
      {.name = "negatives", .choices = {"none", "others", "given"}, .help = kNegativesHelp});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .sweep = {0.3, 1, 3},
                    .help = "divides the gates, whose rows have unit length: the higher, the more "
                            "alike are a token's weights"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
  }

  std::vector<at::Tensor> gates(const RouterJob& job) const {
    const OneThread one;  // on the CPU, sums over more threads would go in another order
    const Network& network = job.models.evidence().network();
    const HiddenStates& hidden = hidden_states(network);
    std::vector<std::vector<at::Tensor>> directions(job.gates.size());
    for (const std::optional<size_t>& of : direction_examples(job, negatives)) {
      for (std::vector<at::Tensor>& of_block : directions) of_block.emplace_back();
      if (!of) continue;
      const int64_t examples = network.examples(*of);
      std::vector<at::Tensor> sums(job.gates.size());
      for (int64_t first = 0; first < examples; first += batch) {
        const int64_t count = std::min(batch, examples - first);
        const std::vector<at::Tensor> states = hidden.states(*of, first, count, tap, tokens);
        for (size_t block = 0; block < sums.size(); ++block) {
          const at::Tensor sum = states.at(block).sum(0);
          sums[block] = sums[block].defined() ? sums[block] + sum : sum;
        }
      }
      for (size_t block = 0; block < sums.size(); ++block)
        directions[block].back() = sums[block] / static_cast<double>(examples);
    }
    return gates_of(job, directions, negatives, temperature);
  }
};

ASSAY_ROUTER(HiddenAvg)

}  // namespace
}  // namespace assay
