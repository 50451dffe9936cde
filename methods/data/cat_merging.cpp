#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "methods/data/layer_fit.h"
#include "methods/data/tensor_components.h"

namespace assay {
namespace {

/// CAT Merging: of each expert's change of a layer, the output directions that disturb the other
/// tasks most are removed before all are added up. They are the leading eigenvectors of T (sum over
/// others of G_i - lambda G_own) T^T, with T the change and G the Gram matrices of the layer's
/// inputs: where the change moves the others' outputs more than its own. The paper's masks for
/// norms are left out: 'others' merges these. Directions of which that is not so stay, even where
/// fewer than 'trimmed' go. The authors' code was not to be had: the defaults of lambda, trimmed
/// and scale are not confirmed by it. A public port of it also scales each change back to the norm
/// that it had before the removal, which the text does not say; that is left out.
struct CatMerging {
  static constexpr MethodInfo info{
      .name = "cat_merging",
      .paper = "arXiv:2505.06977 §4 (linear layers)",
      .summary = "task vectors without the output directions that disturb other tasks most",
      .needs = {.base = true, .calibration_inputs = true},
      .identity = R"({"trimmed": 0, "scale": 0.5,
                      "others": {"method": "task_arithmetic", "scale": 0.5}})",
      .flops = "N (2 m n^2 + 2 m^2 n + 9 m^3) for n inputs and m outputs"};
  double lambda = 1;
  int64_t trimmed = 3;
  double scale = 0.3;
  Heads heads = Heads::kOthers;
  MethodComponent others{"task_arithmetic"};

  void parameters(auto&& p) {
    p(lambda, {.name = "lambda",
               .range = {0, 100},
               .sweep = {1, 5},
               .help = "what an expert's own outputs weigh against the others': the more, the less "
                       "is removed"});
    p(trimmed,
      {.name = "trimmed",
       .range = {0, 1 << 16},
       .sweep = {1, 3},
       .help = "the most directions that a layer's change loses; this default, lambda's and "
               "scale's are not confirmed by the authors' code"});
    p(scale, {.name = "scale",
              .range = {0, 5},
              .sweep = {0.3, 0.5, 1.0},
              .help = "multiplier of the summed task vectors of layers"});
    heads_parameter(heads, p);
    others_parameter(others, p);
  }

  std::vector<StatisticRef> statistics() const {
    std::vector<StatisticRef> all = others->statistics();
    all.push_back(kGram);
    return all;
  }
  std::optional<std::string> conflict() const { return component_conflict("others", others); }
  void prepare(const ModelJob& job) {
    prepare_component(others, job, [&](const std::string& tensor) {
      return !fitted_layer(job.evidence(), tensor, heads);
    });
  }

  at::Tensor merge(const TensorJob& job) const {
    const LayerInfo* layer = fitted_layer(job.evidence(), job.name, heads);
    if (!layer) return merge_by(others, job);
    const OneThread one;
    const size_t n = job.experts.size();
    const std::vector<double> equal(n, 1.0 / static_cast<double>(n));
    const LayerMatrices matrices = layer_matrices(job.experts, *layer, equal);
    const at::Tensor base = layer_matrices({job.base}, *layer, {1.0}).mean;
    std::vector<at::Tensor> grams;
    at::Tensor all = at::zeros({matrices.inputs(), matrices.inputs()}, base.options());
    for (size_t i = 0; i < n; ++i) {
      grams.push_back(GramReader{kGram}.read(job.evidence(), i, layer->input, matrices.inputs(),
                                             base.device()));
      all += grams.back();
    }
    const double own = 1 + lambda * static_cast<double>(n - 1);  // it is a part of `all`
    at::Tensor sum = at::zeros_like(base);
    int64_t removed = 0;
    for (size_t i = 0; i < n; ++i) {
      const at::Tensor delta = matrices.experts[i] - base;
      const at::Tensor directions = disturbing(delta, all - own * grams[i]);
      removed += directions.size(1);
      sum += delta - directions.mm(directions.t().mm(delta));
    }
    job.report("directions_removed", static_cast<double>(removed) / static_cast<double>(n));
    return stored_weight(base.add(sum, scale), *layer, job.base.sizes());
  }

 private:
  inline static const StatisticRef kGram{"input_gram"};

  /// [outputs, at most `trimmed`]: orthonormal, those of the largest eigenvalues above 0.
  at::Tensor disturbing(const at::Tensor& delta, const at::Tensor& difference) const {
    const int64_t outputs = delta.size(0);
    if (trimmed == 0) return at::zeros({outputs, 0}, delta.options());
    const auto [values, vectors] =  // ascending
        at::linalg_eigh(delta.mm(difference).mm(delta.t()));
    constexpr double kRounding = 1e-12;
    const double least = kRounding * values.abs().max().item<double>();
    const int64_t above = at::gt(values, least).sum().item<int64_t>();
    const int64_t taken = std::min(trimmed, above);
    return vectors.narrow(1, outputs - taken, taken);
  }
};

ASSAY_METHOD(CatMerging)

}  // namespace
}  // namespace assay
