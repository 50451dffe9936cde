#include <ATen/ATen.h>

#include <functional>

#include "harness/kernels/one_thread.h"
#include "methods/dense/sums.h"
#include "methods/dense/weights.h"

namespace assay {
namespace {

/// RegMean: of each linear layer the weights whose outputs come closest, in least squares, to those
/// of every expert on that expert's own inputs. Gram matrices of the inputs are all it needs of the
/// data. What is no such layer (biases, norms, embeddings) becomes the mean of the experts.
///
/// The minimum of sum_i c_i |X_i (W - W_i)^T|^2 is found as a difference D from the mean M of the
/// W_i: D sum_i c_i G_i = sum_i c_i (W_i - M) G_i. Copies of one expert then give its very weights,
/// and where the data say nothing, the mean stays.
struct RegMean {
  static constexpr MethodInfo info{
      .name = "regmean",
      .paper = "arXiv:2212.09849 §3",
      .summary = "least-squares fit of each linear layer to the experts' outputs on their own data",
      .needs = {.calibration_inputs = true}};
  static constexpr Preset presets[] = {
      {"exact", R"({"alpha": 1})", "the whole Gram matrices, as in Bloomberg's runs of RoBERTa"},
      {"t5", R"({"alpha": 0.1})", "Bloomberg's choice for T5 and DeBERTa"}};
  double alpha = 0.9;
  std::vector<double> weights;

  void parameters(auto&& p) {
    p(alpha, {.name = "alpha",
              .range = {0, 1},
              .sweep = {0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0},
              .help = "multiplier of the entries off the Gram matrices' diagonals; below 1 inputs "
                      "count as less correlated than they are, which keeps the fit stable"});
    p(weights, {.name = "weights", .range = {0, 10}, .help = kWeightsHelp});
  }

  std::vector<StatisticRef> statistics() const { return {{"input_gram"}}; }
  std::optional<std::string> conflict() const { return zero_sum(weights, "a sum above 0"); }
  void prepare(const ModelJob& job) const { check_weights(weights, job); }
  at::Tensor merge(const TensorJob& job) const;

 private:
  at::Tensor gram(const TensorJob& job, const LayerInfo& layer, size_t expert, int64_t size) const;
};

/// Calls `work(first, count)` for the rows in chunks: on the CPU several at a time, each on one
/// thread, so that values do not depend on how many there are.
void for_row_chunks(const at::Tensor& matrix,
                    const std::function<void(int64_t first, int64_t count)>& work) {
  constexpr int64_t kChunk = 256;
  const int64_t rows = matrix.size(0), chunks = (rows + kChunk - 1) / kChunk;
  if (matrix.is_cuda()) return work(0, rows);
  if (chunks == 1) {
    const OneThread one;
    return work(0, rows);
  }
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk)
      work(chunk * kChunk, std::min(kChunk, rows - chunk * kChunk));
  });
}

/// The lower Cholesky factor of a Gram matrix, to whose diagonal as much is added as it takes:
/// `ridge` times its mean. DataError when there is none.
at::Tensor cholesky_factor(const at::Tensor& gram, double& ridge, const std::string& tensor) {
  const OneThread one;
  const at::Tensor diagonal = gram.diagonal();
  const at::Tensor mean = diagonal.mean();
  ridge = 0;
  while (true) {
    auto [factor, failed_at] = at::linalg_cholesky_ex(gram);
    if (failed_at.item<int64_t>() == 0) return factor;
    const double wanted = ridge == 0 ? 1e-6 : ridge * 10;
    if (wanted > 1)
      data_error(
          "the sum of the experts' statistics 'input_gram' for '{}' is no Gram matrix: it "
          "has no Cholesky factor even with its mean diagonal added",
          tensor);
    diagonal.add_(mean, wanted - ridge);
    ridge = wanted;
  }
}

at::Tensor RegMean::gram(const TensorJob& job, const LayerInfo& layer, size_t expert,
                         int64_t size) const {
  const at::Tensor stored = job.evidence().statistic(statistics()[0], expert)->read(layer.input);
  if (stored.sizes() != at::IntArrayRef{size, size})
    data_error(
        "the statistic 'input_gram' of expert {} has shape {} for the inputs of '{}': "
        "expected [{}, {}]",
        expert, shape_text(stored.sizes()), job.name, size, size);
  const at::Tensor whole = stored.to(job.experts.front().device(), at::kDouble);
  at::Tensor reduced = whole * alpha;
  reduced.diagonal().copy_(whole.diagonal());
  return reduced;
}

at::Tensor RegMean::merge(const TensorJob& job) const {
  const size_t n = job.experts.size();
  const std::vector<double> shares = normalized_weights(weights, n);
  const LayerInfo* layer = job.evidence().layer(job.name);
  if (!layer)
    return weights.empty() ? sum_of_experts(job, shares.front()) : sum_of_experts(job, shares);

  std::vector<at::Tensor> experts;  // [outputs, inputs]
  for (const at::Tensor& expert : job.experts) {
    const at::Tensor matrix = layer->in_out ? expert.t() : expert.flatten(1);
    experts.push_back(matrix.to(at::kDouble).contiguous());
  }
  at::Tensor mean = experts[0] * shares[0];
  for (size_t i = 1; i < n; ++i) mean.add_(experts[i], shares[i]);

  const int64_t inputs = mean.size(1);
  at::Tensor sum = at::zeros({inputs, inputs}, mean.options());
  at::Tensor merged = at::zeros_like(mean);  // the right sides at first
  for (size_t i = 0; i < n; ++i) {
    const at::Tensor weighted = gram(job, *layer, i, inputs) * shares[i];
    sum += weighted;
    for_row_chunks(merged, [&](int64_t first, int64_t count) {
      const at::Tensor difference =
          experts[i].narrow(0, first, count) - mean.narrow(0, first, count);
      merged.narrow(0, first, count).addmm_(difference, weighted);
    });
  }

  // An input that was 0 in all examples has a row of zeros on both sides.
  const at::Tensor dead = sum.diagonal() == 0;
  sum.diagonal().masked_fill_(dead, 1);
  double ridge = 0;
  const at::Tensor factor = cholesky_factor(sum, ridge, job.name);
  for_row_chunks(merged, [&](int64_t first, int64_t count) {
    at::Tensor rows = merged.narrow(0, first, count);
    rows.copy_(mean.narrow(0, first, count) + at::cholesky_solve(rows.t(), factor).t());
  });
  job.report("dead_inputs", dead.to(at::kDouble).mean().item<double>());
  job.report("ridge", ridge);
  if (layer->in_out) merged = merged.t();
  return merged.reshape(job.experts.front().sizes()).to(at::kFloat);
}

ASSAY_METHOD(RegMean)

}  // namespace
}  // namespace assay
