/// Geometry of the span of a few tensors, computed on their DotProducts matrix in float64: a
/// direction is a vector of coefficients, so no tensor is touched before the last weighted sum.
#pragma once

#include <cmath>
#include <vector>

#include "harness/kernels/sums/dot_products.h"
#include "harness/method/method.h"

namespace assay {

/// Inner products of every pair of experts, shared pair by pair.
DotProducts dot_products_of_experts(const TensorParts& tensor);

/// The norm of sum_i coefficients[i] x_i.
inline double span_norm(const DotProducts& products, const std::vector<double>& coefficients) {
  double square = 0;
  for (int i = 0; i < products.size(); ++i)
    for (int j = 0; j < products.size(); ++j)
      square += coefficients[static_cast<size_t>(i)] * coefficients[static_cast<size_t>(j)] *
                products(i, j);
  return std::sqrt(std::max(square, 0.0));
}

/// The inner product of sum_i coefficients[i] x_i with x_k.
inline double span_dot(const DotProducts& products, const std::vector<double>& coefficients,
                       int k) {
  double dot = 0;
  for (int i = 0; i < products.size(); ++i)
    dot += coefficients[static_cast<size_t>(i)] * products(i, k);
  return dot;
}

}  // namespace assay
