#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "methods/dense/trim_elect.h"
#include "methods/dense/whole_deltas.h"
#include "methods/learned/descent.h"

namespace assay {
namespace {

/// Localize-and-Stitch: of each expert the few entries of its task vector that its own task needs,
/// found by learning a mask on labelled examples, or those of largest magnitude. They are added to
/// the base, averaged where several experts have the entry.
struct LocalizeAndStitch {
  enum class Penalty { kL1, kAwayFromZero };

  static constexpr MethodInfo info{
      .name = "localize_and_stitch",
      .version = 2,
      .paper = "arXiv:2408.13656 §4",
      .summary = "the entries that each expert's task needs, averaged where they overlap",
      .needs = {.base = true,
                .calibration_inputs = true,
                .calibration_labels = true,
                .gradients = true},
      .identity = R"({"sparsity": 1, "epochs": 0})",
      .flops = "N experts' examples through the network and back per epoch, and their masks"};
  static constexpr Preset presets[] = {
      {"dataless", R"({"sparsity": 0.1, "epochs": 0})",
       "the entries of largest magnitude, without data"},
      {"released", R"({"penalty": "away_from_zero"})",
       "the penalty of the released code for vision, which drives masks to 0 or 1, whichever is "
       "nearer; that code adds the gradients of batches up, here each example counts once"},
      {"mergebench", R"({"sparsity": 0.1, "bias": 3, "learning_rate": 1e8, "epochs": 1, "l1": 0})",
       "MergeBench's settings"}};
  double sparsity = 1e-5;
  double bias = 5;
  int64_t epochs = 10;
  double learning_rate = 1e7;
  double l1 = 1;
  Penalty penalty = Penalty::kL1;
  int64_t batch = 16;

  void parameters(auto&& p) {
    p(sparsity,
      {.name = "sparsity",
       .range = {0, 1},
       .sweep = {1e-5, 0.01, 0.05, 0.1, 0.2},
       .help = "share of a task vector's entries, those of largest magnitude, that a mask "
               "begins with; at least one entry"});
    p(bias, {.name = "bias",
             .range = {1e-3, 100},
             .help = "what is learned is the argument of a sigmoid, and begins with this for those "
                     "entries, and minus this for the others"});
    p(epochs, {.name = "epochs",
               .range = {0, 10000},
               .help = "gradient steps, each on all of the expert's examples; 0: no data"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1e12},
                      .help = "large, since gradients are those of single weights"});
    p(l1, {.name = "l1", .range = {0, 1e6}, .help = "weight of the penalty on masks"});
    p(penalty, {.name = "penalty",
                .choices = {"l1", "away_from_zero"},
                .help = "of the masks' size, as in the paper, or of the distance to 0 and 1, which "
                        "is what the released code's sign comes to"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a pass"});
  }

  Needs needs() const {
    Needs needs = info.needs;
    needs.calibration_inputs = needs.calibration_labels = needs.gradients = epochs > 0;
    return needs;
  }
  void prepare(const ModelJob& job) {
    largest_.density = sparsity;
    largest_.rule = TrimElect::TrimRule::kExactCount;
    largest_.prepare(job);
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  at::Tensor largest(const TensorParts& tensor, const at::Tensor& delta, size_t expert) const;
  void learn(StateDict& masks, const ModelJob& job, size_t expert) const;

  TrimElect largest_;
};

/// Bool: whether an entry of the expert's task vector is among the largest.
at::Tensor LocalizeAndStitch::largest(const TensorParts& tensor, const at::Tensor& delta,
                                      size_t expert) const {
  return largest_.alone(largest_.measure(tensor), expert, delta) != 0;
}

at::Tensor delta_of(const TensorJob& tensor, size_t expert) {
  return tensor.experts[expert].to(at::kFloat) - tensor.base.to(at::kFloat);
}

/// Changes the arguments of the masks' sigmoids.
void LocalizeAndStitch::learn(StateDict& masks, const ModelJob& job, size_t expert) const {
  if (epochs == 0) return;
  const Network& network = job.evidence().network();
  const int64_t batches = batches_of(network, expert, batch);
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    StateDict weights;
    for (const auto& [name, mask] : masks) {
      const TensorJob tensor = job.tensor(name);
      weights[name] = (tensor.base.to(at::kFloat) + mask.sigmoid() * delta_of(tensor, expert))
                          .requires_grad_(true);
    }
    for (int64_t step = 0; step < batches; ++step) {
      const c10::AutoGradMode with_gradients(true);
      // Every example weighs the same, also those of a short last batch.
      const ExampleBatch examples = batch_of(network, expert, step, batch);
      const at::Tensor share =
          cross_entropy(network, weights, expert, examples) *
          (static_cast<double>(examples.count) / static_cast<double>(network.examples(expert)));
      if (!std::isfinite(share.item<double>()))
        data_error("localize_and_stitch: the loss is {} in epoch {} of {}", share.item<double>(),
                   epoch + 1, epochs);
      share.backward();
    }
    counters::gradient_steps += 1;
    for (auto& [name, mask] : masks) {
      const at::Tensor slope = mask.sigmoid() * (1 - mask.sigmoid());
      at::Tensor step = penalty == Penalty::kL1 ? l1 * slope : -l1 * slope * (2 * (mask > 0) - 1);
      if (const at::Tensor& gradient = weights.at(name).grad(); gradient.defined())
        step = step + learning_rate * gradient * delta_of(job.tensor(name), expert) * slope;
      mask = mask - step;
    }
  }
}

StateDict LocalizeAndStitch::merge_model(const ModelJob& job) const {
  const c10::NoGradGuard no_gradients;
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  StateDict sums, counts;
  int64_t kept = 0, all = 0;
  for (size_t i = 0; i < job.num_experts(); ++i) {
    StateDict masks;
    for (const std::string& name : job.names()) {
      const at::Tensor chosen = largest(job.parts(name), delta_of(job.tensor(name), i), i);
      masks[name] = bias * (2 * chosen.to(at::kFloat) - 1);
    }
    learn(masks, job, i);
    for (const auto& [name, mask] : masks) {
      const at::Tensor chosen = (mask > 0).to(at::kFloat);
      const at::Tensor part = chosen * delta_of(job.tensor(name), i);
      sums[name] = i == 0 ? part : sums[name] + part;
      counts[name] = i == 0 ? chosen : counts[name] + chosen;
      kept += (mask > 0).sum().item<int64_t>();
      all += mask.numel();
    }
  }
  for (auto& [name, sum] : sums)
    sum = job.tensor(name).base.to(at::kFloat) + sum / counts[name].clamp_min(1);
  if (all > 0)
    job.parts(job.names().front())
        .report("kept", static_cast<double>(kept) / static_cast<double>(all));
  return sums;
}

ASSAY_METHOD(LocalizeAndStitch)

}  // namespace
}  // namespace assay
