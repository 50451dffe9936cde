#include <ATen/ATen.h>
#include <torch/optim/adam.h>

#include "harness/core/hash.h"
#include "methods/inner_merge.h"
#include "methods/learned/descent.h"
#include "methods/learned/relaxed_masks.h"

namespace assay {
namespace {

/// Concrete subspace learning: one mask of entries, which all task vectors share, learned on
/// unlabelled examples so that the merged model is sure of its predictions. The mask is drawn anew
/// in every step, and once more for the result, which depends on the seed therefore. As the mask is
/// shared, that of the merged task vector is the same thing for every 'of' that sums task vectors.
/// The authors' form with AdaMerging, which alternates steps of mask and coefficients, is not here.
///
/// Memory: 36 bytes per weight (base, change, masks, logits with gradient and Adam's moments,
/// merged weights and their gradient), the network's own, and the activations of a batch.
struct Concrete {
  static constexpr MethodInfo info{
      .name = "concrete",
      .paper = "arXiv:2312.06173 §3",
      .summary =
          "another method's task vector under a random mask that minimises the entropy of "
          "predictions",
      .needs = {.base = true, .calibration_inputs = true, .gradients = true},
      .randomized = true,
      // Logits so large that nothing is masked.
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "initial_logit": 100,
                      "steps": 0})",
      .flops = "what 'of' takes, N batches through the network and back per step, and masks"};
  static constexpr Preset presets[] = {
      {"tsv_m", R"({"of": "tsv_m"})", "FusionBench's form with TSV-M"},
      {"discrete", R"({"mask": "discrete"})",
       "FusionBench's other mask of the result, of zeros and ones before it is scaled"}};
  MethodComponent of{"task_arithmetic"};
  double initial_logit = 0;
  double temperature = 0.5;
  int64_t steps = 200;
  double learning_rate = 1e-2;
  int64_t batch = 16;
  MaskType mask = MaskType::kContinuous;

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method whose merged task vector is masked"});
    p(initial_logit, {.name = "initial_logit",
                      .range = {-100, 100},
                      .help = "what all logits of the mask begin with; 0: even odds"});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 100},
                    .help = "of the relaxed Bernoulli distributions: the lower, the nearer masks "
                            "are to zeros and ones"});
    p(steps, {.name = "steps",
              .range = {0, 1000000},
              .help = "steps of Adam; FusionBench takes 2000 at 0.001, which moves logits as far"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .sweep = {1e-3, 1e-2, 1e-1},
                      .help = "Adam's, with betas 0.9 and 0.999; a step moves a logit by about as "
                              "much at most"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples of every expert in a step"});
    p(mask, {.name = "mask",
             .choices = {"continuous", "discrete"},
             .help = "the mask of the result: drawn as in a step, or zeros and ones. It is divided "
                     "by its mean in each tensor"});
  }

  std::optional<std::string> conflict() const { return inner_conflict(*of); }
  void prepare(const ModelJob& job) { of->prepare(InnerModel(job)); }
  StateDict merge_model(const ModelJob& job) const;
};

StateDict Concrete::merge_model(const ModelJob& job) const {
  const Network& network = job.evidence().network();
  RelaxedMasks masks(temperature, initial_logit);
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    const at::Tensor base = tensor.base.to(at::kFloat);
    const at::Tensor merged = merge_inner(*of, tensor, tensor.base, tensor.experts);
    masks.add({.name = name,
               .base = base,
               .change = merged.to(at::kFloat).reshape(base.sizes()) - base,
               .key = Hasher().text("mask of concrete").number(tensor.expert_key(0)).low64()});
  }
  // The draws of a step, and after the last one those of the result.
  const auto draw = [&](int64_t step) {
    masks.draw(step, step == steps ? mask : MaskType::kContinuous);
  };
  draw(0);
  torch::optim::Adam adam(masks.parameters(), torch::optim::AdamOptions(learning_rate));
  const auto entropy = [&](const StateDict& weights, int64_t step) {
    return add_entropy_gradients(network, weights, job.num_experts(), step, batch);
  };
  const auto update = [&](int64_t step) {
    adam.step();
    adam.zero_grad();
    draw(step + 1);
  };
  return descend(masks, {"concrete", "entropy", steps, entropy, update}, job);
}

ASSAY_METHOD(Concrete)

}  // namespace
}  // namespace assay
