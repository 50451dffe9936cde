#include <ATen/ATen.h>

#include <algorithm>

#include "harness/kernels/one_thread.h"
#include "methods/inner_merge.h"
#include "methods/spectral/spectral_wrapper.h"

namespace assay {
namespace {

/// FR-Merging: task vectors are said to disturb each other in their low frequencies. Each matrix of
/// a task vector loses them in its two-dimensional Fourier transform before another method merges.
///
/// As in published code the highest frequency is the entry (rows / 2, columns / 2) of the
/// transform, and the real part of the way back is taken, which for odd sides is not all of it. Its
/// ring of frequencies that are counted twice is left out. The lightweight experts that make it
/// FREE-Merging are left out, too: a trained router chooses them, of which neither training nor
/// data are published.
struct FrMerging : SpectralWrapper {
  static constexpr MethodInfo info{
      .name = "fr_merging",
      .paper = "arXiv:2411.16815 (FR-Merging)",
      .summary = "task vectors without their low frequencies, then merged",
      .needs = {.base = true},
      .identity = R"({"of": {"method": "task_arithmetic", "scale": 0.5}, "cutoff": 1000})",
      .flops = "(10 log2(d) + 7) d for each expert's matrix of d values, and what 'of' takes"};
  static constexpr Preset presets[] = {
      {"vit", R"({"align": true, "of": {"method": "task_arithmetic", "scale": 0.7}})",
       "the authors' setting for CLIP's vision transformers"}};
  double cutoff = 0.7;
  bool align = false;

  FrMerging() : SpectralWrapper(MatrixRule{kEmbeddings}) {}

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method that merges the filtered experts"});
    p(cutoff, {.name = "cutoff",
               .range = {0, 1000},
               .sweep = {0.5, 0.6, 0.7},
               .help = "how far frequencies may lie from the highest one, as a multiple of the "
                       "shorter side; those farther away are removed. From 0.708 on a square "
                       "matrix stays whole"});
    p(align, {.name = "align",
              .help = "whether each filtered matrix is scaled to the mean magnitude of the "
                      "expert's in which that is largest"});
    matrices.parameters(p);
  }
  at::Tensor merge(const TensorJob& job) const;
};

/// 1 for the frequencies that stay.
at::Tensor high_frequencies(at::IntArrayRef shape, double cutoff,
                            const at::TensorOptions& options) {
  const at::Tensor y = at::arange(shape[0], options) - static_cast<double>(shape[0] / 2);
  const at::Tensor x = at::arange(shape[1], options) - static_cast<double>(shape[1] / 2);
  const double most = cutoff * static_cast<double>(std::min(shape[0], shape[1]));
  return (y.square().unsqueeze(1) + x.square().unsqueeze(0)).le(most * most).to(at::kDouble);
}

at::Tensor FrMerging::merge(const TensorJob& job) const {
  if (!matrices.applies(job)) return inner(job);
  const OneThread one;
  std::vector<at::Tensor> filtered = delta_matrices(job);
  const at::Tensor kept =
      high_frequencies(filtered.front().sizes(), cutoff, filtered.front().options());
  std::vector<double> magnitudes;
  for (at::Tensor& delta : filtered) {
    delta = at::real(at::fft_ifft2(at::fft_fft2(delta) * kept));
    magnitudes.push_back(delta.abs().mean().item<double>());
  }
  const double largest = *std::max_element(magnitudes.begin(), magnitudes.end());
  std::vector<at::Tensor> experts;
  for (size_t i = 0; i < filtered.size(); ++i) {
    const bool scaled = align && magnitudes[i] > 0;
    experts.push_back(add_matrix(job, filtered[i], scaled ? largest / magnitudes[i] : 1));
  }
  job.report("frequencies_kept", kept.mean().item<double>());
  return merge_inner(*of, job, job.base, experts);
}

ASSAY_METHOD(FrMerging)

}  // namespace
}  // namespace assay
