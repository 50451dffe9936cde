#include <c10/core/GradMode.h>

#include <algorithm>
#include <bit>
#include <map>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/kernels/select/kth_magnitude.h"
#include "methods/dense/part_deltas.h"
#include "methods/learned/descent.h"

namespace assay {
namespace {

/// TATR: task arithmetic within a trust region. Entries in which one expert's change meets a steep
/// loss of another, where their tasks are in conflict, are left at the base. Without data the size
/// of the other expert's own change stands in for the steepness.
struct Tatr {
  enum class Conflict { kDeltas, kGradients };
  enum class Ties { kKeep, kDrop };

  static constexpr MethodInfo info{
      .name = "tatr",
      .paper = "arXiv:2501.15065 §4",
      .summary = "sum of the task vectors without the entries in which tasks are in conflict",
      .needs = {.base = true},
      .elementwise = true,
      .identity = R"({"quantile": 1, "scale": 0.5})",
      .flops = "(20 N - 8) d"};  // without data
  static constexpr Preset presets[] = {
      {"fusionbench", R"({"ties": "drop"})",
       "FusionBench's rule with zero_shot: a model all of whose conflicts are equal, as where one "
       "expert alone changed anything, becomes the base"}};
  Conflict conflict_rule = Conflict::kDeltas;
  int64_t examples = 128, batch = 16;
  double quantile = 0.99;
  Ties ties = Ties::kKeep;
  double scale = 0.3;

  void parameters(auto&& p) {
    p(conflict_rule,
      {.name = "conflict",
       .choices = {"deltas", "gradients"},
       .help = "what an expert's change is multiplied by: the changes of the others, or, as in "
               "the paper, their tasks' gradients at the base. FusionBench's code for gradients "
               "keeps those of one tensor alone and returns the base"});
    p(examples, {.name = "examples",
                 .range = {1, 100000},
                 .help = "with gradients: labelled ones of every expert, or all there are"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a pass"});
    p(quantile,
      {.name = "quantile",
       .range = {0, 1},
       .sweep = {0.9, 0.99, 0.999},
       .help = "share of the model's entries in the trust region, those of least conflict"});
    p(ties, {.name = "ties",
             .choices = {"keep", "drop"},
             .help = "whether entries whose conflict equals that at the border of the region "
                     "belong to it"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.2, 0.3, 0.4},
              .help = "multiplier of the summed task vectors"});
  }

  Needs needs() const {
    Needs needs = info.needs;
    if (conflict_rule == Conflict::kGradients)
      needs.calibration_inputs = needs.calibration_labels = needs.gradients = true;
    return needs;
  }

  void prepare(const ModelJob& job) {
    if (conflict_rule == Conflict::kGradients) find_gradients(job);
    int64_t count = 0;
    for (const std::string& name : job.names()) count += job.parts(name).elements();
    const auto inside = static_cast<int64_t>(quantile * static_cast<double>(count));
    if (count == 0) return;
    // The border is the last entry inside, or with `drop` the first one outside.
    const int64_t rank =
        ties == Ties::kKeep ? std::max<int64_t>(inside, 1) : std::min<int64_t>(inside + 1, count);
    KthMagnitude selection({rank}, count);
    do {
      job.for_each([&](size_t k) {
        job.parts(job.names()[k]).for_each([&](const TensorJob& part) {
          const at::Tensor values = conflict_of(part);
          selection.feed(at::zeros_like(values), {values}, {DeltaTerm{}}, part.offset);
        });
      });
    } while (selection.next());
    border_ = std::bit_cast<float>(selection.found(0).bits);
  }

  at::Tensor merge(const TensorJob& part) const {
    at::Tensor sum = part_delta(part, 0);
    for (size_t i = 1; i < part.experts.size(); ++i) sum += part_delta(part, i);
    const at::Tensor conflict = conflict_of(part);
    const at::Tensor outside = ties == Ties::kKeep ? conflict > border_ : conflict >= border_;
    return add_to_base(part, sum.masked_fill_(outside, 0), scale);
  }

 private:
  void find_gradients(const ModelJob& job);
  /// The magnitudes of the loss' gradient of this expert's task.
  at::Tensor slope(const TensorJob& part, size_t expert) const {
    const auto found = gradients_[expert].find(part.name);
    if (found == gradients_[expert].end())  // the network does not use the tensor
      return at::zeros_like(part.base, part.base.options().dtype(at::kFloat));
    return found->second.narrow(0, part.offset, part.base.numel());
  }
  /// The sum over all pairs of different experts of |delta_i| |delta_j|, each of them twice, or of
  /// |delta_i| |gradient_j|.
  at::Tensor conflict_of(const TensorJob& part) const {
    const bool by_gradients = conflict_rule == Conflict::kGradients;
    at::Tensor sizes = part_delta(part, 0).abs_(), slopes;
    if (by_gradients) slopes = slope(part, 0).clone();
    at::Tensor conflict = at::zeros_like(sizes);
    for (size_t i = 1; i < part.experts.size(); ++i) {
      const at::Tensor size = part_delta(part, i).abs_();
      if (by_gradients) {
        const at::Tensor own = slope(part, i);
        conflict.addcmul_(slopes, size).addcmul_(sizes, own);
        slopes += own;
      } else {
        conflict.addcmul_(sizes, size, 2);
      }
      sizes += size;
    }
    return conflict;
  }

  /// By expert and tensor: magnitudes of the mean loss' gradient at the base, flat, float32.
  std::vector<std::map<std::string, at::Tensor>> gradients_;
  float border_ = 0;
};

void Tatr::find_gradients(const ModelJob& job) {
  const c10::AutoGradMode with_gradients(true);
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const Network& network = job.evidence().network();
  gradients_.assign(job.num_experts(), {});
  for (size_t i = 0; i < job.num_experts(); ++i) {
    StateDict weights;
    for (const std::string& name : job.names())
      weights[name] = job.tensor(name).base.to(at::kFloat).detach().clone().requires_grad_(true);
    const int64_t all = std::min(examples, network.examples(i));
    for (int64_t first = 0; first < all; first += batch) {
      const ExampleBatch some{first, std::min(batch, all - first)};
      const double share = static_cast<double>(some.count) / static_cast<double>(all);
      const at::Tensor loss = cross_entropy(network, weights, i, some) * share;
      if (!loss.isfinite().item<bool>())
        data_error("tatr: the base's loss on examples of expert {} is {}", i, loss.item<double>());
      loss.backward();
      counters::gradient_steps += 1;
    }
    for (const auto& [name, leaf] : weights)
      if (leaf.grad().defined()) gradients_[i][name] = leaf.grad().abs().flatten();
  }
}

ASSAY_METHOD(Tatr)

}  // namespace
}  // namespace assay
