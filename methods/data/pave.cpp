#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/kernels/one_thread.h"
#include "methods/data/layer_fit.h"
#include "methods/inner_merge.h"
#include "methods/spectral/matrices.h"
#include "methods/spectral/svd.h"

namespace assay {
namespace {

/// PAVE: before they are merged, experts lose what their own tasks do not use. Of the product of a
/// layer's weight W and the Gram matrix C of its inputs the leading singular directions are kept: U
/// S V^T of W C, cut and multiplied by C^-1, is U U^T W. The authors' published code for GLUE has
/// the products with C commented out. All layers keep the same share; the paper's allocation of
/// ranks among layers is left out.
struct Pave {
  static constexpr MethodInfo info{
      .name = "pave",
      .paper = "arXiv:2510.14697 §4",
      .summary = "experts without the directions that their own data do not use, then merged",
      .needs = {.base = true, .calibration_inputs = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "keep": 1})",
      .flops = "N (10 m n^2 + 9 n^3) for n inputs and m outputs, and what 'of' takes"};
  static constexpr Preset presets[] = {
      {"ties", R"({"of": "ties", "keep": 0.984})", "the paper's share for TIES"}};
  MethodComponent of{"task_arithmetic"};
  double keep = 0.969;

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method that merges the purified experts"});
    p(keep, {.name = "keep",
             .range = {0, 1},
             .sweep = {0.5, 0.75, 0.9, 0.969},
             .help = "share of a layer's singular directions that is kept, rounded up; the "
                     "paper's for task arithmetic"});
  }
  std::vector<StatisticRef> statistics() const {
    std::vector<StatisticRef> all = of->statistics();
    all.push_back(kGram);
    return all;
  }
  std::optional<std::string> conflict() const { return inner_conflict(*of); }
  /// The other method sees the experts as they are.
  void prepare(const ModelJob& job) { of->prepare(InnerModel(job)); }

  at::Tensor merge(const TensorJob& job) const {
    const LayerInfo* layer = job.evidence().layer(job.name);
    if (!layer || keep == 1 || job.experts.front().numel() == 0)
      return merge_inner(*of, job, job.base, job.experts);
    std::vector<at::Tensor> purified(job.experts.size());
    for_each_matrix(job, purified.size(), [&](size_t i) { purified[i] = purify(job, *layer, i); });
    return merge_inner(*of, job, job.base, purified);
  }

 private:
  inline static const StatisticRef kGram{"input_gram"};

  at::Tensor purify(const TensorJob& job, const LayerInfo& layer, size_t expert) const {
    const OneThread one;
    const at::Tensor weight = layer_matrices({job.experts[expert]}, layer, {1.0}).mean;
    const int64_t inputs = weight.size(1);
    at::Tensor gram =
        GramReader{kGram}.read(job.evidence(), expert, layer.input, inputs, weight.device());
    // Directions that the data never showed come last, by the weight alone.
    constexpr double kUnseen = 1e-6;
    const double mean = gram.diagonal().mean().item<double>();
    gram.diagonal().add_(mean > 0 ? kUnseen * mean : 1.0);
    const auto rank = static_cast<double>(std::min(weight.size(0), inputs));
    const Svd factors =
        factorize(weight.mm(gram), {.most = static_cast<int64_t>(std::ceil(keep * rank))});
    return stored_weight(factors.u.mm(factors.u.t().mm(weight)), layer,
                         job.experts[expert].sizes());
  }
};

ASSAY_METHOD(Pave)

}  // namespace
}  // namespace assay
