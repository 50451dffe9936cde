/// The formulas of scripts/peers/vision_goldens.py, for weights and inputs.
#pragma once

#include <ATen/ATen.h>

#include <cmath>

#include "harness/core/files.h"
#include "harness/model/architecture.h"

namespace assay {

inline at::Tensor sines(at::IntArrayRef shape, double shift) {
  const int64_t count = c10::multiply_integers(shape);
  return at::sin(at::arange(count, at::kDouble) * 0.37 + shift).view(shape);
}

/// Numbers in [-1, 1] without a pattern.
inline at::Tensor hashed(at::IntArrayRef shape, size_t index) {
  at::Tensor numbers = at::empty(shape, at::kDouble);
  double* next = numbers.data_ptr<double>();
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761U + static_cast<uint32_t>(index) * 40503U;
    h = (h ^ (h >> 15)) * 2246822519U;
    h = (h ^ (h >> 13)) * 3266489917U;
    next[i] = static_cast<double>(h ^ (h >> 16)) / 2147483648.0 - 1;
  }
  return numbers;
}

/// Under the architecture's own names, of which `index` is the place among the reference's.
inline at::Tensor formula_weight(const TensorInfo& info, size_t index) {
  const at::Tensor s = hashed(info.shape, index + 1);
  const std::string_view name = info.name;
  at::Tensor weight;
  if (info.shape.size() >= 2)
    weight =
        s * std::sqrt(6.0 * static_cast<double>(info.shape[0]) / static_cast<double>(info.numel()));
  else if (name.ends_with(".weight"))
    weight = 0.5 + 0.2 * s;
  else
    weight = name.ends_with(".running_var") ? 1.2 + 0.4 * s : 0.1 * s;
  return weight.to(at::kFloat);
}

inline StateDict formula_weights(const std::vector<TensorInfo>& tensors) {
  StateDict weights;
  for (const TensorInfo& info : tensors) weights[info.name] = formula_weight(info, weights.size());
  return weights;
}

inline at::Tensor formula_inputs(const Json& shape) {
  return sines(shape.get<std::vector<int64_t>>(), 0).to(at::kFloat);
}

}  // namespace assay
