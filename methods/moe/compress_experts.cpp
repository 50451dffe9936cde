#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/kernels/one_thread.h"
#include "harness/method/method.h"
#include "methods/learned/descent.h"
#include "methods/moe/compress_experts_parameters.h"
#include "methods/moe/low_rank_store.h"
#include "methods/moe/mixture_layers.h"
#include "methods/moe/shared_matrices.h"
#include "methods/moe/sparse_low_rank.h"
#include "methods/whole_result.h"

namespace assay {
namespace {

/// MC-SMoE's second half: every different matrix of a mixture's experts becomes a low-rank one plus
/// some rows. The result is stored as the sums, which any program can read, or as the factors and
/// the rows that are left; how many values these have is reported.
///
/// Other than in published code the factors and rows alone learn, the rest of the model stays as it
/// is; without a learning rate (zero-shot) nothing does.
struct CompressExperts : CompressExpertsParameters {
  static constexpr MethodInfo info{
      .name = "compress_experts",
      .paper = "arXiv:2310.01334 §3",
      .summary = "makes a mixture's experts low-rank matrices plus the rows that matter most",
      .needs = {.max_experts = 1,
                .calibration_inputs = true,
                .calibration_labels = true,
                .gradients = true,
                .output = Output::kMixtureOfExperts},
      .identity = R"({"rest": 1})",
      .flops =
          "a batch through the network and back per step, and for each different matrix of rank r "
          "a singular value decomposition and (6 r + 8) m n per step"};
  static constexpr Preset presets[] = {
      {"zero_shot", "{}", "gradients decide which rows stay, nothing is trained (the default)"},
      {"mc_smoe", R"({"learning_rate": 1e-4, "distillation": 0.2})",
       "MC-SMoE with recovery: cross entropy and 0.2 of the divergence from the whole mixture. The "
       "paper takes 10000 steps, 400 of them 'warmup' and 1600 'final'"}};

  std::optional<std::string> conflict() const {
    const Output output = of->needs().output;
    if (output != Output::kSameArchitecture && output != Output::kMixtureOfExperts)
      return fmt::format("parameter 'of' is {}, which does not give one mixture", of->info().name);
    if (store == Store::kFactors && rank_ratio == 0)
      return "parameter 'store' is factors, for which 'rank_ratio' is to be above 0";
    if (steps == 0 && rest < 1)
      return "parameter 'steps' is 0, and gradients decide which rows are left: expected at least 1 "
             "step, or all rows ('rest' 1)";
    return std::nullopt;
  }
  OutputPlan plan(const PlanInputs& models) const;
  StateDict merge_model(const ModelJob& job) const;

 private:
  double rate(int64_t step) const;
  at::Tensor loss(const Network& network, const StateDict& student, const StateDict& teacher,
                  ExampleBatch examples) const;
};

OutputPlan CompressExperts::plan(const PlanInputs& models) const {
  const TensorSource& model = *models.experts.front();
  std::vector<std::string> names;
  for (const TensorInfo& tensor : model.tensors()) names.push_back(tensor.name);
  const std::vector<MixtureLayer> layers = mixture_layers(names, info.name);
  need_layers(layers, info.name);
  if (const std::optional<OutputPlan> inner = of->plan(models)) {
    const bool same = inner->tensors.size() == names.size() &&
                      std::all_of(inner->tensors.begin(), inner->tensors.end(), [&](const auto& t) {
                        return model.find(t.name) && !t.shape && !t.open && !t.copied;
                      });
    if (!same)
      throw SkipCell(fmt::format(
          "{} works on results with the tensors of the model, as of 'store' copies, and that of {} "
          "has others",
          info.name, of->info().name));
  }
  std::set<std::string> matrices;
  for (const MixtureLayer& layer : layers)
    for (const auto& tensors : layer.tensors) matrices.insert(tensors.begin(), tensors.end());
  OutputPlan plan{models.config, {}};
  for (const TensorInfo& tensor : model.tensors()) {
    if (store == Store::kFactors && matrices.contains(tensor.name)) {
      plan_factors(tensor, rank_of(tensor.shape.at(0), tensor.shape.at(1), rank_ratio), plan);
      continue;
    }
    OutputTensor& output = plan.tensors.emplace_back();
    output.name = tensor.name;
    output.experts = {{.tensor = tensor.name}};
  }
  if (store == Store::kFactors)
    plan.config_of = [config = models.config](const StateDict& made) {
      return config_of_factors(config, made);
    };
  return plan;
}

double CompressExperts::rate(int64_t step) const {
  const auto all = static_cast<double>(steps), up = static_cast<double>(warmup);
  const auto now = static_cast<double>(step);
  return learning_rate * (step < warmup ? now / up : (all - now) / (all - up));
}

at::Tensor CompressExperts::loss(const Network& network, const StateDict& student,
                                 const StateDict& teacher, ExampleBatch examples) const {
  const at::Tensor scores = network.logits(student, 0, examples.first, examples.count);
  at::Tensor sum =
      at::cross_entropy_loss(scores, network.targets(0, examples.first, examples.count));
  if (distillation == 0) return sum;
  at::Tensor wanted;
  {
    const c10::NoGradGuard no_gradients;
    wanted = network.logits(teacher, 0, examples.first, examples.count) / temperature;
  }
  const at::Tensor log_p = wanted.log_softmax(1), log_q = (scores / temperature).log_softmax(1);
  return sum +
         distillation * (log_p.exp() * (log_p - log_q)).sum() / static_cast<double>(examples.count);
}

StateDict CompressExperts::merge_model(const ModelJob& job) const {
  const c10::AutoGradMode with_gradients(true);
  const OneThread one;  // on the CPU, sums over more threads would go in another order
  const WholeMatrices models(job);
  StateDict model;
  {
    const c10::NoGradGuard no_gradients;
    model = WholeResult().make(of, models);
    for (auto& [unused, tensor] : model) tensor = tensor.to(at::kFloat);
  }
  StateDict teacher;  // the model itself, whatever 'of' made of it
  if (distillation > 0)
    for (const std::string& name : models.names())
      teacher[name] = models.tensor(name).experts.front().to(at::kFloat);
  const std::vector<SharedMatrix> shared =
      different_matrices(mixture_layers(models.names(), info.name), model);
  std::vector<SparseLowRank> matrices;
  std::vector<at::Tensor> learned;
  for (const SharedMatrix& one_of : shared) {
    SparseLowRank& matrix = matrices.emplace_back(
        one_of.values, rank_of(one_of.values.size(0), one_of.values.size(1), rank_ratio));
    for (at::Tensor* part : {&matrix.left, &matrix.right, &matrix.rest})
      learned.push_back(part->requires_grad_());
  }
  torch::optim::AdamW adam(
      learned,
      torch::optim::AdamWOptions(learning_rate).betas({0.9, 0.98}).eps(1e-6).weight_decay(0.01));
  const RestSchedule schedule{steps, warmup, final, rest};
  const Network& network = job.evidence().network();
  StateDict weights = model;
  const auto fill = [&](bool leaves) {
    const c10::NoGradGuard no_gradients;
    for (size_t i = 0; i < shared.size(); ++i) {
      const at::Tensor whole = matrices[i].whole().requires_grad_(leaves);
      for (const std::string& tensor : shared[i].tensors) weights[tensor] = whole;
    }
  };
  for (int64_t step = 1; step <= steps; ++step) {
    fill(true);
    const at::Tensor value = loss(network, weights, teacher, batch_of(network, 0, step - 1, batch));
    if (!std::isfinite(value.item<double>()))
      data_error("{}: the loss is {} at step {} of {}; a smaller learning_rate may help", info.name,
                 value.item<double>(), step, steps);
    value.backward();
    counters::gradient_steps += 1;
    const c10::NoGradGuard no_gradients;
    std::vector<at::Tensor> gradients;
    for (size_t i = 0; i < shared.size(); ++i) {
      const at::Tensor& of_whole = weights.at(shared[i].tensors.front()).grad();
      // Of an expert that no token was sent to.
      gradients.push_back(of_whole.defined() ? of_whole : at::zeros_like(matrices[i].rest));
      matrices[i].left.mutable_grad() = gradients[i].mm(matrices[i].right.t());
      matrices[i].right.mutable_grad() = matrices[i].left.t().mm(gradients[i]);
      matrices[i].rest.mutable_grad() = gradients[i];
    }
    if (learning_rate > 0) {
      for (auto& group : adam.param_groups()) group.options().set_lr(rate(step));
      const c10::AutoGradMode in_step(true);
      adam.step();
    }
    for (size_t i = 0; i < shared.size(); ++i) matrices[i].observe(gradients[i], decay);
    drop_rows(matrices, schedule.share(step));
  }
  fill(false);
  int64_t left = 0, before = 0, rows = 0, all_rows = 0;
  for (const SparseLowRank& matrix : matrices) {
    left += matrix.parameters();
    before += matrix.rest.numel();
    rows += matrix.rows();
    all_rows += matrix.rest.size(0);
  }
  const TensorParts reports = job.parts(job.names().front());
  reports.report("parameters_of_experts", static_cast<double>(before));
  reports.report("parameters_left", static_cast<double>(left));
  reports.report("rows_left", static_cast<double>(rows) / static_cast<double>(all_rows));
  if (store == Store::kSums) return weights;
  for (size_t i = 0; i < shared.size(); ++i)
    for (const std::string& tensor : shared[i].tensors) {
      put_factors(tensor, matrices[i], weights);
      weights.erase(tensor);
    }
  return weights;
}

ASSAY_METHOD(CompressExperts)

}  // namespace
}  // namespace assay
