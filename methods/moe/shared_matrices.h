/// Matrices of a mixture's experts that are equal, as those of experts that were merged.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "methods/moe/mixture_layers.h"

namespace assay {

/// A matrix of an expert and of those that are equal to it.
struct SharedMatrix {
  std::vector<std::string> tensors;
  at::Tensor values;
};

/// The different matrices of each layer's experts. `model`: has all tensors of the layers.
std::vector<SharedMatrix> different_matrices(const std::vector<MixtureLayer>& layers,
                                             const StateDict& model);

}  // namespace assay
