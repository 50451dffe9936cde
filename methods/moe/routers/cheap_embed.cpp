#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/moe/routers/directions.h"

namespace assay {
namespace {

/// Gates whose rows are the sums of the embeddings of each expert's examples: the same in every
/// block, and without a forward pass.
struct CheapEmbed {
  static constexpr RouterInfo info{
      .name = "cheap_embed",
      .paper = "https://github.com/arcee-ai/mergekit (mergekit-moe)",
      .summary = "embeddings of each expert's examples, the same in every block",
      .needs = {.base = true, .calibration_inputs = true}};
  Negatives negatives = Negatives::kNone;
  double temperature = 1;
  int64_t batch = 256;

  void parameters(auto&& p) {
    p(negatives,
      {.name = "negatives", .choices = {"none", "others", "given"}, .help = kNegativesHelp});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .sweep = {0.3, 1, 3},
                    .help = "divides the gates, whose rows have unit length"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples that are read at a time"});
  }

  std::vector<at::Tensor> gates(const RouterJob& job) const {
    const OneThread one;  // on the CPU, sums over more threads would go in another order
    const Network& network = job.models.evidence().network();
    std::vector<at::Tensor> directions;
    for (const std::optional<size_t>& of : direction_examples(job, negatives)) {
      directions.emplace_back();
      if (!of) continue;
      // Of unit length before others' are subtracted, too.
      directions.back() = unit(embedding_sum(network, *of, batch));
    }
    const std::vector<std::vector<at::Tensor>> of_blocks(job.gates.size(), directions);
    return gates_of(job, of_blocks, negatives, temperature);
  }
};

ASSAY_ROUTER(CheapEmbed)

}  // namespace
}  // namespace assay
