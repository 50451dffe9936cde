#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <cmath>

#include "harness/core/cost.h"
#include "harness/kernels/one_thread.h"
#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "methods/dense/trim_elect.h"

namespace assay {
namespace {

/// AdaMerging: coefficients of the task vectors that make the merged model sure of its predictions
/// on unlabelled examples of every task. The authors take the test inputs (transductive); here they
/// are those of the calibration data. A surer model is not always a better one: experts of
/// different classes can lose to the one whose classes the model is surest of.
///
/// The coefficients' gradient is the inner product of the weights' gradient with the task vectors,
/// so that no graph is kept of how the weights were made.
struct AdaMerging {
  enum class Granularity { kTask, kTensor };
  enum class Vectors { kPlain, kTies };

  static constexpr MethodInfo info{
      .name = "adamerging",
      .paper = "arXiv:2310.02575 §3",
      .summary = "coefficients of the task vectors that minimise the entropy of predictions",
      .needs = {.base = true, .calibration_inputs = true, .gradients = true},
      .identity = R"({"init": 0.5, "steps": 0})"};
  static constexpr Preset presets[] = {
      {"task_wise", R"({"granularity": "task"})", "one coefficient per expert"},
      {"plus_plus", R"({"vectors": "ties"})", "AdaMerging++: on task vectors trimmed as in TIES"},
      {"task_wise_plus_plus", R"({"granularity": "task", "vectors": "ties"})",
       "one coefficient per expert, on task vectors trimmed as in TIES"}};
  Granularity granularity = Granularity::kTensor;
  double init = 0.3;
  int64_t steps = 500;
  double learning_rate = 1e-3;
  int64_t batch = 16;
  Vectors vectors = Vectors::kPlain;
  double density = 0.2;

  void parameters(auto&& p) {
    p(granularity,
      {.name = "granularity",
       .choices = {"task", "tensor"},
       .help = "one coefficient per expert (task-wise), or per expert and tensor (layer-wise)"});
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

/// One tensor of all models, and which column of the coefficients is its own.
struct Terms {
  std::string name;
  int64_t column;
  at::Tensor base;
  std::vector<at::Tensor> task_vectors;  ///< float32, of each expert
};

/// The base plus the task vectors times their coefficients [experts, columns].
StateDict combine(const std::vector<Terms>& model, const at::Tensor& coefficients) {
  const auto values = coefficients.accessor<double, 2>();
  StateDict weights;
  for (const Terms& terms : model) {
    std::vector<at::Tensor> tensors{terms.base};
    std::vector<double> factors{1};
    for (const at::Tensor& vector : terms.task_vectors) {
      factors.push_back(values[static_cast<int64_t>(tensors.size()) - 1][terms.column]);
      tensors.push_back(vector);
    }
    weights[terms.name] = weighted_sum(tensors, factors);
  }
  return weights;
}

/// The gradient of the coefficients from that of the weights. Where a coefficient is outside of
/// [0, 1], to which it is clamped, it has none.
at::Tensor coefficient_gradient(const std::vector<Terms>& model, const StateDict& weights,
                                const at::Tensor& coefficients) {
  at::Tensor gradient = at::zeros_like(coefficients);
  auto sums = gradient.accessor<double, 2>();
  for (const Terms& terms : model) {
    const at::Tensor of_weights = weights.at(terms.name).grad();
    if (!of_weights.defined()) continue;  // the network does not use it
    for (size_t i = 0; i < terms.task_vectors.size(); ++i)
      sums[static_cast<int64_t>(i)][terms.column] +=
          dot_products({of_weights.contiguous(), terms.task_vectors[i]})(0, 1);
  }
  return gradient.masked_fill_((coefficients < 0).logical_or(coefficients > 1), 0);
}

/// Adds the gradient of the mean entropy of the predictions; returns that entropy, in nats.
double add_entropy_gradient(const Network& network, const StateDict& weights, size_t expert,
                            int64_t step, int64_t batch) {
  const int64_t examples = network.examples(expert);
  const int64_t batches = (examples + batch - 1) / batch;
  const int64_t first = step % batches * batch;
  const int64_t count = std::min(batch, examples - first);
  const at::Tensor logs = at::log_softmax(network.logits(weights, expert, first, count), 1);
  const at::Tensor entropy = -(logs.exp() * logs).sum(1).mean();
  entropy.backward();
  return entropy.item<double>();
}

std::vector<at::Tensor> AdaMerging::elected(const TensorParts& tensor,
                                            const std::vector<at::Tensor>& task_vectors) const {
  const TrimElect::Trimmed trimmed = ties_.measure(tensor);
  TensorJob deltas;
  deltas.base = at::zeros_like(task_vectors.front());
  deltas.experts = task_vectors;
  const at::Tensor sign = ties_.merge(deltas, trimmed, 1).sign();
  std::vector<at::Tensor> kept;
  for (size_t i = 0; i < task_vectors.size(); ++i) {
    deltas.experts = {task_vectors[i]};
    const at::Tensor alone = ties_.merge(deltas, {{trimmed.terms[i]}, {}}, 1);
    kept.push_back(alone * (alone.sign() == sign));
  }
  return kept;
}

StateDict AdaMerging::merge_model(const ModelJob& job) const {
  const c10::AutoGradMode with_gradients(true);
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const auto experts = static_cast<int64_t>(job.num_experts());
  std::vector<Terms> model;
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    const auto column = static_cast<int64_t>(model.size());
    Terms& terms = model.emplace_back(
        Terms{name, granularity == Granularity::kTask ? 0 : column, tensor.base, {}});
    const at::Tensor base = tensor.base.to(at::kFloat);
    for (const at::Tensor& expert : tensor.experts)
      terms.task_vectors.push_back(expert.to(at::kFloat) - base);
    if (vectors == Vectors::kTies)
      terms.task_vectors = elected(job.parts(name), terms.task_vectors);
  }
  const int64_t columns =
      granularity == Granularity::kTask ? 1 : static_cast<int64_t>(model.size());
  at::Tensor coefficients = at::full({experts, columns}, init, at::kDouble);

  const Network& network = job.evidence().network();
  torch::optim::Adam adam({coefficients}, torch::optim::AdamOptions(learning_rate));
  const int64_t tenth = std::max<int64_t>(1, steps / 10);
  double entropy_first = 0, entropy_last = 0;
  for (int64_t step = 0; step < steps; ++step) {
    StateDict weights = combine(model, coefficients.clamp(0, 1));
    for (auto& [unused, tensor] : weights) tensor.requires_grad_(true);
    double entropy = 0;
    for (size_t i = 0; i < job.num_experts(); ++i)
      entropy += add_entropy_gradient(network, weights, i, step, batch);
    if (!std::isfinite(entropy))
      data_error(
          "adamerging: the entropy is {} at step {} of {}; a smaller learning_rate than {} "
          "may help",
          entropy, step + 1, steps, learning_rate);
    coefficients.mutable_grad() = coefficient_gradient(model, weights, coefficients);
    adam.step();
    counters::gradient_steps += 1;
    if (step < tenth) entropy_first += entropy;
    if (step >= steps - tenth) entropy_last += entropy;
  }

  coefficients = coefficients.clamp(0, 1);
  if (!model.empty()) {
    const TensorJob reports = job.tensor(model.front().name);
    reports.report("coefficient_mean", coefficients.mean().item<double>());
    if (steps > 0) {
      const auto batches = static_cast<double>(tenth * experts);
      reports.report("entropy_first", entropy_first / batches);
      reports.report("entropy_last", entropy_last / batches);
    }
  }
  return combine(model, coefficients);
}

ASSAY_METHOD(AdaMerging)

}  // namespace
}  // namespace assay
