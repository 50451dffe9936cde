#include "methods/learned/relaxed_masks.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "harness/core/hash.h"
#include "harness/core/philox.h"

namespace assay {
namespace {

/// In float64, so that the mean of a large mask is one, too.
double mean_of(const at::Tensor& values) {
  return values.sum(at::kDouble).item<double>() / static_cast<double>(values.numel());
}

/// The mask divided by its mean; zeros where that is 0.
at::Tensor scaled_mask(const at::Tensor& mask) {
  const double mean = mask.numel() == 0 ? 0 : mean_of(mask);
  return mean > 0 ? mask / mean : at::zeros_like(mask);
}

}  // namespace

at::Tensor logistic_noise(uint64_t key, at::IntArrayRef shape) {
  const at::Tensor uniform = at::empty(shape, at::TensorOptions(at::kFloat));
  auto* const out = uniform.mutable_data_ptr<float>();
  const int64_t count = uniform.numel();
  for (int64_t first = 0; first < count; first += 4) {
    const Philox4 words = philox4x32_10(static_cast<uint64_t>(first / 4), 0, key);
    // 23 bits and a half: neither 0 nor 1, and 1 - u is exact.
    for (int64_t j = 0; j < std::min<int64_t>(4, count - first); ++j)
      out[first + j] = (static_cast<float>(words.v[j] >> 9) + 0.5F) * 0x1p-23F;
  }
  return uniform.log() - (1 - uniform).log();
}

void RelaxedMasks::add(MaskedTensor tensor) {
  logits_.push_back(at::full_like(tensor.base, initial_logit_).requires_grad_(true));
  tensors_.push_back(std::move(tensor));
}

void RelaxedMasks::draw(int64_t step, MaskType type) {
  const c10::NoGradGuard no_gradients;
  masks_.clear();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const uint64_t key =
        Hasher().number(tensors_[i].key).number(static_cast<uint64_t>(step)).low64();
    const at::Tensor noisy =
        logits_[i] + logistic_noise(key, logits_[i].sizes()).to(logits_[i].device());
    masks_.push_back(type == MaskType::kDiscrete ? (noisy > 0).to(at::kFloat)
                                                 : (noisy / temperature_).sigmoid());
  }
}

StateDict RelaxedMasks::weights(bool leaves) const {
  const c10::NoGradGuard no_gradients;
  StateDict weights;
  for (size_t i = 0; i < tensors_.size(); ++i)
    weights[tensors_[i].name] =
        (tensors_[i].base + scaled_mask(masks_[i]) * tensors_[i].change).requires_grad_(leaves);
  return weights;
}

void RelaxedMasks::add_gradients(const StateDict& weights) const {
  const c10::NoGradGuard no_gradients;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const at::Tensor& of_weights = weights.at(tensors_[i].name).grad();
    const at::Tensor& mask = masks_[i];
    if (!of_weights.defined() || mask.numel() == 0) continue;
    const double mean = mean_of(mask);
    if (mean <= 0) continue;
    // With r = mask / mean a mask entry has the gradient (g - mean(g r)) / mean, g that of r.
    const at::Tensor of_scaled = of_weights * tensors_[i].change;
    const double shared = mean_of(of_scaled * mask) / mean;
    const at::Tensor slope = mask * (1 - mask) / temperature_;
    add_to_gradient(logits_[i], (of_scaled - shared) / mean * slope);
  }
}

void RelaxedMasks::report(const TensorParts& reports) const {
  double sum = 0;
  int64_t count = 0;
  for (const at::Tensor& mask : masks_) {
    sum += mask.sum(at::kDouble).item<double>();
    count += mask.numel();
  }
  if (count > 0) reports.report("mask_mean", sum / static_cast<double>(count));
}

}  // namespace assay
