/// Inner products of every pair of tensors, in float64: norms on the diagonal, angles off it.
#pragma once

#include <vector>

#include "harness/kernels/dtype/dtype.h"

namespace at {
class Tensor;
}

namespace assay {

/// The share of one element in the inner product of two tensors; exact.
ASSAY_ELEMENT double product_element(float a, float b) {
  return static_cast<double>(a) * static_cast<double>(b);
}

/// A symmetric matrix of inner products.
class DotProducts {
 public:
  explicit DotProducts(int size = 0) : size_(static_cast<size_t>(size)), values_(size_ * size_) {}
  int size() const { return static_cast<int>(size_); }
  double operator()(int i, int j) const { return values_[place(i, j)]; }
  void add(int i, int j, double value) {
    values_[place(i, j)] += value;
    if (i != j) values_[place(j, i)] += value;
  }
  /// Of another set of tensors, element by element: those of the concatenations.
  void add(const DotProducts& other) {
    for (size_t k = 0; k < values_.size(); ++k) values_[k] += other.values_[k];
  }

 private:
  size_t place(int i, int j) const {
    return static_cast<size_t>(i) * size_ + static_cast<size_t>(j);
  }

  size_t size_;
  std::vector<double> values_;
};

/// Tensors of one shape and device, flattened. Sums go over fixed blocks in a fixed order.
DotProducts dot_products(const std::vector<at::Tensor>& tensors);

namespace cuda {
/// One partial sum per pair i <= j (in row order) and for each of `blocks` equal shares of the
/// elements: partials[pair * blocks + block].
void dot_products(const Operand* operands, int count, int64_t elements, int64_t blocks,
                  double* partials, void* stream);
}  // namespace cuda

}  // namespace assay
