#include <ATen/ATen.h>

#include "methods/data/layer_fit.h"
#include "methods/data/others.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// RegMean: of each linear layer the weights whose outputs come closest, in least squares, to those
/// of every expert on that expert's own inputs. Gram matrices of the inputs are all it needs of the
/// data. The minimum of sum_i c_i |X_i (W - W_i)^T|^2 is found as a difference from the mean.
struct RegMean {
  static constexpr MethodInfo info{
      .name = "regmean",
      .version = 2,
      .paper = "arXiv:2212.09849 §3",
      .summary = "least-squares fit of each linear layer to the experts' outputs on their own data",
      .needs = {.calibration_inputs = true}};
  static constexpr Preset presets[] = {
      {"exact", R"({"alpha": 1})", "the whole Gram matrices, as in Bloomberg's runs of RoBERTa"},
      {"t5", R"({"alpha": 0.1})", "Bloomberg's choice for T5 and DeBERTa"},
      {"mats", R"({"alpha": 1, "heads": "others"})",
       "the baseline of MaTS: the whole Gram matrices, and no head is fitted"},
      {"fusionbench", R"({"alpha": 0.95})", "FusionBench's choice for CLIP"},
      {"fusionbench_gpt2", R"({"alpha": 0.6})", "FusionBench's choice for GPT-2"},
      {"mergebench", R"({"alpha": 0.5})", "MergeBench's scripts for language models"},
      {"diagonal", R"({"alpha": 0})", "inputs count as uncorrelated"}};
  double alpha = 0.9;
  std::vector<double> weights;
  Heads heads = Heads::kOthers;
  MethodComponent others{kOthersDefault};

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0},
              .help = "multiplier of the entries off the Gram matrices' diagonals; below 1 inputs "
                      "count as less correlated than they are, which keeps the fit stable"});
    p(weights, {.name = "weights",
                .range = {0, 10},
                .help = "a weight per expert in the fits, in the order of the merge; empty: all "
                        "equal"});
    heads_parameter(heads, p);
    others_parameter(others, p);
  }

  std::vector<StatisticRef> statistics() const {
    std::vector<StatisticRef> all = others->statistics();
    all.push_back({"input_gram"});
    return all;
  }
  std::optional<std::string> conflict() const {
    if (auto reason = zero_sum(weights, "a sum above 0")) return reason;
    return others_conflict(others);
  }
  void prepare(const ModelJob& job) {
    check_weights(weights, job);
    prepare_others(others, job, [&](const std::string& tensor) {
      return !fitted_layer(job.evidence(), tensor, heads);
    });
  }
  at::Tensor merge(const TensorJob& job) const;
};

at::Tensor RegMean::merge(const TensorJob& job) const {
  const LayerInfo* layer = fitted_layer(job.evidence(), job.name, heads);
  if (!layer) return merge_other(others, job);
  const std::vector<double> shares = normalized_weights(weights, job.experts.size());
  const LayerMatrices matrices = layer_matrices(job.experts, *layer, shares);
  const GramReader grams{{"input_gram"}, alpha};
  NormalEquations equations = normal_equations(matrices, shares, [&](size_t expert) {
    return grams.read(job.evidence(), expert, layer->input, matrices.inputs(),
                      matrices.mean.device());
  });
  SolveNotes notes;
  const at::Tensor difference = solve(equations, job.name, notes);
  job.report("dead_inputs", notes.dead_inputs);
  job.report("ridge", notes.ridge);
  return stored_weight(matrices.mean + difference, *layer, job.experts.front().sizes());
}

ASSAY_METHOD(RegMean)

}  // namespace
}  // namespace assay
