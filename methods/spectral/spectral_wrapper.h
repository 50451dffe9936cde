/// What spectral methods share that work around another method's merge.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "harness/method/method.h"
#include "methods/spectral/matrices.h"

namespace assay {

/// Changes what the method `of` is given of matrices, or what it makes of them.
struct SpectralWrapper {
  MethodComponent of{"task_arithmetic"};
  MatrixRule matrices;

  std::optional<std::string> conflict() const;
  /// The other method sees the experts as they are.
  void prepare(const ModelJob& job);

 protected:
  explicit SpectralWrapper(MatrixRule rule) : matrices(std::move(rule)) {}
  /// What the other method makes of the tensor.
  at::Tensor inner(const TensorJob& job) const;
  /// The same with another change of a matrix: `change_of` gets the merge minus the base, float64
  /// [rows, the rest], on one thread, and returns what to add to the base in its place, or nothing
  /// for the merge as it is.
  at::Tensor inner_changed(
      const TensorJob& job,
      const std::function<at::Tensor(const at::Tensor& change)>& change_of) const;
};

}  // namespace assay
