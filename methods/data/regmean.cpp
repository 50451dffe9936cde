#include <ATen/ATen.h>

#include <algorithm>

#include "methods/data/fit_options.h"

namespace assay {
namespace {

/// RegMean: of each linear layer the weights whose outputs come closest, in least squares, to those
/// of every expert on that expert's own inputs. Gram matrices of the inputs are all it needs of the
/// data. The minimum of sum_i c_i |X_i (W - W_i)^T|^2 is found as a difference from the mean.
struct RegMean {
  static constexpr MethodInfo info{
      .name = "regmean",
      .version = 3,
      .paper = "arXiv:2212.09849 §3",
      .summary = "least-squares fit of each linear layer to the experts' outputs on their own data",
      .needs = {.calibration_inputs = true},
      .flops = "2 N m n^2 + n^3 / 3 for n inputs and m outputs"};
  static constexpr Preset presets[] = {
      {"exact", R"({"alpha": 1})", "the whole Gram matrices, as in Bloomberg's runs of RoBERTa"},
      {"t5", R"({"alpha": 0.1})", "Bloomberg's choice for T5 and DeBERTa"},
      {"mats", R"({"alpha": 1, "heads": "others"})",
       "the baseline of MaTS: the whole Gram matrices, and no head is fitted"},
      {"fusionbench", R"({"alpha": 0.95})", "FusionBench's choice for CLIP"},
      {"fusionbench_gpt2", R"({"alpha": 0.6})", "FusionBench's choice for GPT-2"},
      {"mergebench", R"({"alpha": 0.5})", "MergeBench's scripts for language models"},
      {"diagonal", R"({"block": 1})",
       "inputs count as uncorrelated: it needs their mean squares alone"}};
  double alpha = 0.9;
  int64_t block = 0;
  FitOptions fit;

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0},
              .help = "multiplier of the entries off the Gram matrices' diagonals; below 1 inputs "
                      "count as less correlated than they are, which keeps the fit stable"});
    p(block, {.name = "block",
              .range = {0, 1 << 16},
              .help = "0: whole Gram matrices; else inputs count as correlated within blocks of so "
                      "many alone, which takes less memory"});
    fit.parameters(p);
  }

  std::vector<StatisticRef> statistics() const { return fit.statistics(own_statistic()); }
  std::optional<std::string> conflict() const { return fit.conflict(); }
  void prepare(const ModelJob& job) { fit.prepare(job); }
  at::Tensor merge(const TensorJob& job) const;

 private:
  StatisticRef own_statistic() const {
    return block == 0 ? StatisticRef{"input_gram"} : StatisticRef{"block_gram", {{"block", block}}};
  }
  /// The differences between the fit and the mean: by whole Gram matrices, or in blocks of inputs.
  at::Tensor whole(const TensorJob& job, const LayerInfo& layer, const LayerMatrices& matrices,
                   const std::vector<double>& shares, SolveNotes& notes) const;
  at::Tensor in_blocks(const TensorJob& job, const LayerInfo& layer, const LayerMatrices& matrices,
                       const std::vector<double>& shares, SolveNotes& notes) const;
};

at::Tensor RegMean::whole(const TensorJob& job, const LayerInfo& layer,
                          const LayerMatrices& matrices, const std::vector<double>& shares,
                          SolveNotes& notes) const {
  const GramReader grams{own_statistic()};
  NormalEquations equations = normal_equations(matrices, shares, alpha, [&](size_t expert) {
    return grams.stored(job.evidence(), expert, layer.input, matrices.inputs(),
                        matrices.mean.device());
  });
  return solve(equations, job.name, notes);
}

at::Tensor RegMean::in_blocks(const TensorJob& job, const LayerInfo& layer,
                              const LayerMatrices& matrices, const std::vector<double>& shares,
                              SolveNotes& notes) const {
  const int64_t inputs = matrices.inputs(), blocks = (inputs + block - 1) / block;
  std::vector<at::Tensor> grams;  // [blocks, block, block]
  for (size_t i = 0; i < shares.size(); ++i) {
    const auto source = job.evidence().statistic(own_statistic(), i);
    const at::Tensor stored = source->find(layer.input)
                                  ? source->read(layer.input)
                                  : at::zeros({blocks, block, block}, at::kDouble);
    if (stored.sizes() != at::IntArrayRef{blocks, block, block})
      data_error(
          "the statistic 'block_gram' of expert {} has shape {} for '{}': expected "
          "[{}, {}, {}]",
          i, shape_text(stored.sizes()), layer.input, blocks, block, block);
    grams.push_back(stored.to(matrices.mean.device(), at::kDouble));
  }
  at::Tensor difference = at::empty_like(matrices.mean);
  if (block == 1) {  // nothing to solve for
    at::Tensor sum = at::zeros({inputs}, difference.options());
    difference.zero_();
    for (size_t i = 0; i < shares.size(); ++i) {
      const at::Tensor squares = grams[i].flatten() * shares[i];
      sum += squares;
      difference.addcmul_(matrices.experts[i] - matrices.mean, squares);
    }
    const at::Tensor dead = sum == 0;
    notes.dead_inputs = dead.to(at::kDouble).mean().item<double>();
    return difference.div_(sum.masked_fill_(dead, 1));
  }
  double dead = 0, ridge = 0;
  for (int64_t k = 0; k < blocks; ++k) {
    const int64_t first = k * block, count = std::min(block, inputs - first);
    LayerMatrices piece;
    piece.mean = matrices.mean.narrow(1, first, count).contiguous();
    for (const at::Tensor& expert : matrices.experts)
      piece.experts.push_back(expert.narrow(1, first, count).contiguous());
    NormalEquations equations = normal_equations(piece, shares, alpha, [&](size_t expert) {
      return grams[expert][k].narrow(0, 0, count).narrow(1, 0, count);
    });
    difference.narrow(1, first, count).copy_(solve(equations, job.name, notes));
    dead += notes.dead_inputs * static_cast<double>(count) / static_cast<double>(inputs);
    ridge = std::max(ridge, notes.ridge);
  }
  notes = {ridge, dead};
  return difference;
}

at::Tensor RegMean::merge(const TensorJob& job) const {
  const LayerInfo* layer = fit.fitted(job.evidence(), job.name);
  if (!layer) return merge_by(fit.others, job);
  const std::vector<double> shares = fit.shares(job.experts.size());
  const LayerMatrices matrices = layer_matrices(job.experts, *layer, shares);
  SolveNotes notes;
  const at::Tensor difference = block == 0 ? whole(job, *layer, matrices, shares, notes)
                                           : in_blocks(job, *layer, matrices, shares, notes);
  job.report("dead_inputs", notes.dead_inputs);
  job.report("ridge", notes.ridge);
  return stored_weight(matrices.mean + difference, *layer, job.experts.front().sizes());
}

ASSAY_METHOD(RegMean)

}  // namespace
}  // namespace assay
