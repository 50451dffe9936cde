/// What the axes of tensors are made of, found by unification: axes that an operator joins hold the
/// same units.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace assay {

/// An axis is a product of factors, from the outermost to the innermost: heads times what a head is
/// made of. An axis of size 1 has none.
using AxisFactors = std::vector<size_t>;
/// Those of every dimension of a tensor.
using TensorAxes = std::vector<AxisFactors>;

/// The factors of all axes. One that is `fixed` has an order that matters.
class AxisUnits {
 public:
  /// A new axis of this size.
  AxisFactors add(int64_t size, bool fixed = false);
  /// New axes of a shape.
  TensorAxes add(at::IntArrayRef shape, bool fixed);

  /// Says that both hold the same units, which splits factors where one side has finer ones. Where
  /// that is impossible, the order of both matters.
  void join(const AxisFactors& one, const AxisFactors& other);
  void fix(const AxisFactors& axis);
  void fix(const TensorAxes& axes);
  /// Says that a sum of two branches has this axis.
  void mark_stream(const AxisFactors& axis);

  /// The axes of the values in another shape, in row-major order, new and fixed where the factors
  /// do not divide so.
  TensorAxes reshape(const TensorAxes& axes, at::IntArrayRef shape);

  /// The factors as they are now: each is the representative of all that were joined with it.
  AxisFactors resolve(const AxisFactors& axis) const;
  int64_t size(const AxisFactors& axis) const;
  int64_t size(size_t factor) const { return factors_[factor].size; }
  bool fixed(size_t factor) const { return factors_[factor].fixed; }
  bool stream(size_t factor) const { return factors_[factor].stream; }

 private:
  struct Factor {
    int64_t size = 0;
    bool fixed = false, stream = false;
    size_t parent = 0;            ///< itself: it stands for its set
    std::vector<size_t> parts{};  ///< outer and inner, once it was split
  };

  size_t root(size_t factor) const;
  void append(size_t factor, AxisFactors& resolved) const;
  /// Splits a representative into `outer` times the rest.
  void split(size_t factor, int64_t outer);
  void unite(size_t one, size_t other);

  std::vector<Factor> factors_;
};

}  // namespace assay
