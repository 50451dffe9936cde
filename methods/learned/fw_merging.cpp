#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/kernels/sums/dot_products.h"
#include "harness/kernels/sums/weighted_sum.h"
#include "methods/learned/descent.h"

namespace assay {
namespace {

/// FW-Merging (hard): Frank-Wolfe steps on the loss of labelled examples of every task. Each goes
/// from the merged model towards one of the experts, or back to the model that it began with: the
/// one that is least aligned with the gradient.
struct FwMerging {
  enum class Selection { kTask, kTensor };
  enum class Alignment { kCosine, kProduct };

  static constexpr MethodInfo info{
      .name = "fw_merging",
      .paper = "arXiv:2503.12649 §3",
      .summary = "Frank-Wolfe steps towards the experts least aligned with the loss' gradient",
      .needs = {.base = true,
                .calibration_inputs = true,
                .calibration_labels = true,
                .gradients = true},
      .identity = R"({"scale": 0.5})",
      .flops = "N batches through the network and back per step, and sums of the task vectors"};
  int64_t steps = 10;
  double step_size = 0.1;
  double scale = 0.3;
  Selection selection = Selection::kTask;
  Alignment alignment = Alignment::kCosine;
  int64_t examples = 100, batch = 16;

  void parameters(auto&& p) {
    p(steps, {.name = "steps", .range = {0, 10000}, .help = "Frank-Wolfe steps"});
    p(step_size, {.name = "step_size",
                  .range = {0, 10},
                  .sweep = {0.1, 0.3, 1},
                  .help = "of step t, from 0, times 2 / (t + 2) and scale: the share of the way"});
    p(scale, {.name = "scale",
              .range = {0, 10},
              .sweep = {0.3, 0.5},
              .help = "of the task vectors in the task arithmetic that is the beginning, and of "
                      "every step"});
    p(selection, {.name = "selection",
                  .choices = {"task", "tensor"},
                  .help = "whether a step goes to one model, or chooses one for each tensor"});
    p(alignment, {.name = "alignment",
                  .choices = {"cosine", "product"},
                  .help = "with the gradient: the sum over tensors of cosines, as in the authors' "
                          "code, or the inner product, as in Frank-Wolfe"});
    p(examples, {.name = "examples",
                 .range = {1, 100000},
                 .help = "of every expert in a step, rounded up to whole batches"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a pass"});
  }

  StateDict merge_model(const ModelJob& job) const;

 private:
  double add_gradient(const ModelJob& job, const StateDict& weights, int64_t step) const;
  std::vector<double> alignments(const at::Tensor& gradient,
                                 const std::vector<at::Tensor>& models) const;
};

/// The mean loss over experts, whose gradient the weights get.
double FwMerging::add_gradient(const ModelJob& job, const StateDict& weights, int64_t step) const {
  const Network& network = job.evidence().network();
  const int64_t batches = (examples + batch - 1) / batch;
  double sum = 0;
  for (size_t i = 0; i < job.num_experts(); ++i)
    for (int64_t k = 0; k < batches; ++k) {
      const at::Tensor share =
          cross_entropy(network, weights, i, batch_of(network, i, step * batches + k, batch)) /
          static_cast<double>(batches * static_cast<int64_t>(job.num_experts()));
      share.backward();
      sum += share.item<double>();
    }
  counters::gradient_steps += 1;
  return sum;
}

/// Of each model's tensor with the gradient; 0 where one of them is.
std::vector<double> FwMerging::alignments(const at::Tensor& gradient,
                                          const std::vector<at::Tensor>& models) const {
  std::vector<at::Tensor> tensors{gradient.contiguous()};
  tensors.insert(tensors.end(), models.begin(), models.end());
  const DotProducts products = dot_products(tensors);
  std::vector<double> values;
  for (int j = 1; j < products.size(); ++j) {
    const double norms = std::sqrt(products(0, 0) * products(j, j));
    const bool cosine = alignment == Alignment::kCosine;
    values.push_back(cosine && norms > 0 ? products(0, j) / norms : products(0, j));
  }
  return values;
}

size_t least_of(const std::vector<double>& values) {
  return static_cast<size_t>(std::min_element(values.begin(), values.end()) - values.begin());
}

StateDict FwMerging::merge_model(const ModelJob& job) const {
  const c10::AutoGradMode with_gradients(true);
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const size_t experts = job.num_experts();
  StateDict merged;
  for (const std::string& name : job.names()) {
    const TensorJob tensor = job.tensor(name);
    std::vector<at::Tensor> tensors{tensor.base};
    tensors.insert(tensors.end(), tensor.experts.begin(), tensor.experts.end());
    std::vector<double> factors(tensors.size(), scale);
    factors[0] = 1 - scale * static_cast<double>(experts);
    merged[name] = weighted_sum(tensors, factors);
  }

  const StateDict initial = merged;
  const auto models_of = [&](const std::string& name) {
    std::vector<at::Tensor> models = job.tensor(name).experts;
    models.push_back(initial.at(name));
    return models;
  };
  double loss_first = 0, loss_last = 0;
  for (int64_t step = 0; step < steps; ++step) {
    StateDict leaves;
    for (const auto& [name, tensor] : merged) leaves[name] = tensor.detach().requires_grad_(true);
    loss_last = add_gradient(job, leaves, step);
    if (step == 0) loss_first = loss_last;
    if (!std::isfinite(loss_last))
      data_error("fw_merging: the loss is {} at step {} of {}", loss_last, step + 1, steps);

    const c10::NoGradGuard no_gradients;
    std::vector<double> sums(experts + 1);
    std::map<std::string, size_t> chosen;
    for (const auto& [name, leaf] : leaves) {
      if (!leaf.grad().defined()) continue;  // the network does not use it
      const std::vector<double> values = alignments(leaf.grad(), models_of(name));
      for (size_t j = 0; j < sums.size(); ++j) sums[j] += values[j];
      chosen[name] = least_of(values);
    }
    const double share = 2 / (static_cast<double>(step) + 2) * step_size * scale;
    for (auto& [name, tensor] : merged) {
      const auto own = chosen.find(name);
      const bool by_tensor = selection == Selection::kTensor && own != chosen.end();
      const size_t model = by_tensor ? own->second : least_of(sums);
      tensor = tensor + (models_of(name)[model].to(at::kFloat) - tensor) * share;
    }
  }
  if (steps > 0 && !job.names().empty()) {
    const TensorParts reports = job.parts(job.names().front());
    reports.report("loss_first", loss_first);
    reports.report("loss_last", loss_last);
  }
  return merged;
}

ASSAY_METHOD(FwMerging)

}  // namespace
}  // namespace assay
