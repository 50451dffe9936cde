#include <ATen/ATen.h>

#include "harness/kernels/one_thread.h"
#include "methods/data/fit_options.h"

namespace assay {
namespace {

/// LOT Merging: of each linear layer the task vector whose outputs come closest, in least squares,
/// to those of every expert on that expert's own inputs, and which is 0 where these inputs say
/// nothing. Norms, which the paper weighs by features, are left to 'others'. T (sum_i G_i)^+, T =
/// sum_i T_i G_i, with G_i the Gram matrix of the inputs.
struct Lot {
  static constexpr MethodInfo info{
      .name = "lot",
      .paper = "arXiv:2505.23859 §4",
      .summary = "least-squares fit of each linear layer's task vector on the experts' own inputs",
      .needs = {.base = true, .calibration_inputs = true},
      .identity = "",  // where the data say nothing it is the base
      .flops = "2 (N + 1) m n^2 + 11 n^3 for n inputs and m outputs"};
  double cutoff = 1e-6;
  double scale = 1;
  FitOptions fit;

  void parameters(auto&& p) {
    p(cutoff, {.name = "cutoff",
               .range = {1e-14, 1},
               .sweep = {1e-6, 1e-4, 1e-2},
               .help = "directions of the inputs whose eigenvalue is at most this share of the "
                       "largest count as not seen, and stay the base's"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .help = "multiplier of the fitted task vectors; the paper's is 1"});
    fit.parameters(p);
  }

  std::vector<StatisticRef> statistics() const { return fit.statistics({"input_gram"}); }
  std::optional<std::string> conflict() const { return fit.conflict(); }
  void prepare(const ModelJob& job) { fit.prepare(job); }
  at::Tensor merge(const TensorJob& job) const;
};

at::Tensor Lot::merge(const TensorJob& job) const {
  const LayerInfo* layer = fit.fitted(job.evidence(), job.name);
  if (!layer) return merge_by(fit.others, job);
  const std::vector<double> shares = fit.shares(job.experts.size());
  const LayerMatrices matrices = layer_matrices(job.experts, *layer, shares);
  const at::Tensor base = layer_matrices({job.base}, *layer, {1.0}).mean;
  const GramReader grams{{"input_gram"}};

  at::Tensor sum, right = at::zeros_like(base);
  for (size_t i = 0; i < job.experts.size(); ++i) {
    const at::Tensor gram =
        grams.read(job.evidence(), i, layer->input, matrices.inputs(), base.device()) * shares[i];
    sum = sum.defined() ? sum.add_(gram) : gram.clone();
    for_row_chunks(right, [&](int64_t first, int64_t count) {
      const at::Tensor delta =
          matrices.experts[i].narrow(0, first, count) - base.narrow(0, first, count);
      right.narrow(0, first, count).addmm_(delta, gram);
    });
  }
  at::Tensor inverse, seen;
  {
    const OneThread one;
    const auto [values, vectors] = at::linalg_eigh(sum);  // ascending
    seen = values > cutoff * values[-1];
    inverse = (vectors * at::where(seen, values, 1).reciprocal_().mul_(seen)).mm(vectors.t());
    job.report("directions_seen", seen.to(at::kDouble).mean().item<double>());
  }
  at::Tensor merged = at::empty_like(base);
  for_row_chunks(merged, [&](int64_t first, int64_t count) {
    const at::Tensor delta = right.narrow(0, first, count).mm(inverse);
    merged.narrow(0, first, count).copy_(base.narrow(0, first, count).add(delta, scale));
  });
  return stored_weight(merged, *layer, job.base.sizes());
}

ASSAY_METHOD(Lot)

}  // namespace
}  // namespace assay
