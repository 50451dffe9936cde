/// What operators do with the units of axes.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "harness/model/internal/axis_units.h"

namespace assay {

/// The axes of the tensors of a forward pass.
class TracedTensors {
 public:
  AxisUnits units;

  /// Of a tensor that nothing is known of, a constant, the order of every axis matters.
  const TensorAxes& axes(const at::Tensor& tensor);
  void set(const at::Tensor& tensor, TensorAxes axes);
  bool known(const at::Tensor& tensor) const;
  /// Whether it is known, and no constant.
  bool varies(const at::Tensor& tensor) const;
  /// The place of the tensor in the order in which axes() were asked for; absent where they were
  /// not.
  std::optional<size_t> first_use(const at::Tensor& tensor) const;

 private:
  struct Traced {
    at::Tensor tensor;  ///< kept, so that no later tensor is at its place
    TensorAxes axes;
    bool constant = false;
    std::optional<size_t> first_use{};
  };
  std::unordered_map<const c10::TensorImpl*, Traced> traced_;
  size_t uses_ = 0;
};

/// An operator that ran, with the arguments of its schema.
struct TracedCall {
  const std::vector<c10::IValue>& inputs;
  const std::vector<c10::IValue>& outputs;
};
using AxisRule = void (*)(TracedTensors& traced, const TracedCall& call);

/// The rule of an ATen operator, by its name without namespace, overload and the underscore of what
/// works in place; null when there is none.
AxisRule axis_rule(std::string_view name);
/// Where there is none: the order of all axes of these tensors matters.
void fix_all(TracedTensors& traced, const TracedCall& call);
/// The defined tensors among values, those in lists included.
std::vector<at::Tensor> tensors_among(const std::vector<c10::IValue>& values);

}  // namespace assay
