#include <ATen/ATen.h>
#include <torch/optim/adam.h>

#include "methods/dense/trim_elect.h"
#include "methods/dense/whole_deltas.h"
#include "methods/learned/descent.h"

namespace assay {
namespace {

/// AdaMerging: coefficients of the task vectors that make the merged model sure of its predictions
/// on unlabelled examples of every task. The authors take the test inputs (transductive); here they
/// are those of the calibration data. A surer model is not always a better one: experts of
/// different classes can lose to the one whose classes the model is surest of.
struct AdaMerging {
  enum class Vectors { kPlain, kTies };

  static constexpr MethodInfo info{
      .name = "adamerging",
      .paper = "arXiv:2310.02575 §3",
      .summary = "coefficients of the task vectors that minimise the entropy of predictions",
      .needs = {.base = true, .calibration_inputs = true, .gradients = true},
      .identity = R"({"init": 0.5, "steps": 0})",
      .flops = "N batches through the network and back per step, and sums of the task vectors"};
  static constexpr Preset presets[] = {
      {"task_wise", R"({"granularity": "task"})", "one coefficient per expert"},
      {"plus_plus", R"({"vectors": "ties"})", "AdaMerging++: on task vectors trimmed as in TIES"},
      {"task_wise_plus_plus", R"({"granularity": "task", "vectors": "ties"})",
       "one coefficient per expert, on task vectors trimmed as in TIES"}};
  Sharing granularity = Sharing::kTensor;
  double init = 0.3;
  int64_t steps = 500;
  double learning_rate = 1e-3;
  int64_t batch = 16;
  Vectors vectors = Vectors::kPlain;
  double density = 0.2;

  void parameters(auto&& p) {
    p(granularity,
      {.name = "granularity", .choices = {"task", "block", "tensor"}, .help = kSharingHelp});
    p(init, {.name = "init", .range = {0, 1}, .help = "what all coefficients begin with"});
    p(steps, {.name = "steps", .range = {0, 1000000}, .help = "steps of Adam"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .sweep = {1e-3, 1e-2},
                      .help = "Adam's, with betas 0.9 and 0.999"});
    p(batch, {.name = "batch",
              .range = {1, 4096},
              .help = "examples of every expert in a step; the authors' code takes two of 16"});
    p(vectors, {.name = "vectors",
                .choices = {"plain", "ties"},
                .help = "the task vectors as they are, or trimmed and without the entries that "
                        "lack the elected sign, as in TIES"});
    p(density, {.name = "density",
                .range = {0, 1},
                .help = "share of each task vector that is kept, with vectors 'ties'"});
  }

  void prepare(const ModelJob& job) {
    ties_.density = density;
    ties_.reduce = TrimElect::Agree::kSum;
    if (vectors == Vectors::kTies) ties_.prepare(job);
  }
  StateDict merge_model(const ModelJob& job) const;

 private:
  std::vector<at::Tensor> elected(const TensorParts& tensor,
                                  const std::vector<at::Tensor>& task_vectors) const;

  TrimElect ties_;
};

at::Tensor clamped(const at::Tensor& raw) { return raw.clamp(0, 1); }

std::vector<at::Tensor> AdaMerging::elected(const TensorParts& tensor,
                                            const std::vector<at::Tensor>& task_vectors) const {
  const TrimElect::Trimmed trimmed = ties_.measure(tensor);
  TensorJob deltas;
  deltas.base = at::zeros_like(task_vectors.front());
  deltas.experts = task_vectors;
  const at::Tensor sign = ties_.merge(deltas, trimmed, 1).sign();
  std::vector<at::Tensor> kept;
  for (size_t i = 0; i < task_vectors.size(); ++i) {
    const at::Tensor alone = ties_.alone(trimmed, i, task_vectors[i]);
    kept.push_back(alone * (alone.sign() == sign));
  }
  return kept;
}

StateDict AdaMerging::merge_model(const ModelJob& job) const {
  const size_t experts = job.num_experts();
  LearnedModel model(clamped);
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    LearnedTensor learned{
        .name = name,
        .group = model.group_of(sharing_key(granularity, job.evidence(), name), experts, init),
        .base = tensor.base,
        .terms = whole_deltas(tensor, Compute::kFloat32)};
    if (vectors == Vectors::kTies) learned.terms = elected(job.parts(name), learned.terms);
    model.add(std::move(learned));
  }
  const Network& network = job.evidence().network();
  torch::optim::Adam adam(model.parameters(), torch::optim::AdamOptions(learning_rate));
  const auto entropy = [&](const StateDict& weights, int64_t step) {
    return add_entropy_gradients(network, weights, experts, step, batch);
  };
  const auto update = [&](int64_t) {
    adam.step();
    adam.zero_grad();
  };
  return descend(model, {"adamerging", "entropy", steps, entropy, update}, job);
}

ASSAY_METHOD(AdaMerging)

}  // namespace
}  // namespace assay
