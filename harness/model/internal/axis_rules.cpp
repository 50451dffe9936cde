#include "harness/model/internal/axis_rules.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "harness/core/error.h"

namespace assay {
namespace {

size_t dimension(const c10::IValue& value, int64_t dims) {
  const int64_t dim = value.toInt();
  return static_cast<size_t>(dim < 0 ? dim + dims : dim);
}

const at::Tensor& output(const TracedCall& call) { return call.outputs.front().toTensor(); }

at::Tensor optional_tensor(const std::vector<c10::IValue>& inputs, size_t place) {
  if (place >= inputs.size() || !inputs[place].isTensor()) return {};
  return inputs[place].toTensor();
}

/// Axes that are broadcast to a shape: those of the operand, aligned at the last one.
AxisFactors aligned(const TensorAxes& axes, size_t dims, size_t dim) {
  return dim + axes.size() < dims ? AxisFactors{} : axes[dim + axes.size() - dims];
}

/// Every element of the output depends on the operands' elements at its place.
void elementwise(TracedTensors& traced, const TracedCall& call) {
  const std::vector<at::Tensor> operands = tensors_among(call.inputs);
  const at::IntArrayRef shape = output(call).sizes();
  TensorAxes axes(shape.size());
  for (size_t dim = 0; dim < shape.size(); ++dim)
    for (const at::Tensor& operand : operands) {
      const AxisFactors axis = aligned(traced.axes(operand), shape.size(), dim);
      if (axis.empty()) continue;
      if (axes[dim].empty())
        axes[dim] = axis;
      else
        traced.units.join(axes[dim], axis);
    }
  traced.set(output(call), std::move(axes));
}

/// The sum of two branches.
void add(TracedTensors& traced, const TracedCall& call) {
  elementwise(traced, call);
  const std::vector<at::Tensor> operands = tensors_among(call.inputs);
  if (operands.size() != 2 || operands[0].sizes() != operands[1].sizes()) return;
  if (traced.varies(operands[0]) && traced.varies(operands[1]))
    for (const AxisFactors& axis : traced.axes(output(call))) traced.units.mark_stream(axis);
}

/// The output's elements are those of the first input with the same index.
void same_axes(TracedTensors& traced, const TracedCall& call) {
  traced.set(output(call), TensorAxes(traced.axes(call.inputs[0].toTensor())));
}

/// Normalises the last dimensions, each with a scale and a shift.
void layer_norm(TracedTensors& traced, const TracedCall& call) {
  const TensorAxes axes = traced.axes(call.inputs[0].toTensor());
  for (const size_t place : {2, 3})
    if (const at::Tensor vector = optional_tensor(call.inputs, place); vector.defined()) {
      const TensorAxes of_vector = traced.axes(vector);
      for (size_t dim = 0; dim < of_vector.size(); ++dim)
        traced.units.join(axes[axes.size() - of_vector.size() + dim], of_vector[dim]);
    }
  traced.set(output(call), axes);
}

/// Normalises every channel with its own mean and variance.
void batch_norm(TracedTensors& traced, const TracedCall& call) {
  const TensorAxes axes = traced.axes(call.inputs[0].toTensor());
  for (const size_t place : {1, 2, 3, 4})
    if (const at::Tensor vector = optional_tensor(call.inputs, place); vector.defined())
      traced.units.join(axes[1], traced.axes(vector).front());
  traced.set(output(call), axes);
}

/// A function of all elements of some dimensions that does not depend on their order.
void reduce(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& x = call.inputs[0].toTensor();
  const TensorAxes axes = traced.axes(x);
  std::vector<bool> gone(axes.size(), false);
  bool any = false;
  const bool has_dims = call.inputs.size() > 2;  // else what follows is a dtype
  if (has_dims && call.inputs[1].isIntList())
    for (const int64_t dim : call.inputs[1].toIntVector()) {
      gone[dimension(dim, x.dim())] = true;
      any = true;
    }
  else if (has_dims && call.inputs[1].isInt())
    gone[dimension(call.inputs[1], x.dim())] = any = true;
  if (!any) gone.assign(axes.size(), true);
  for (const at::Tensor& y : tensors_among(call.outputs)) {
    TensorAxes left;
    for (size_t dim = 0; dim < axes.size(); ++dim)
      if (!gone[dim])
        left.push_back(axes[dim]);
      else if (y.dim() == x.dim())
        left.emplace_back();
    traced.set(y, std::move(left));
  }
}

/// Pools over the two last dimensions.
void pool(TracedTensors& traced, const TracedCall& call) {
  TensorAxes axes = traced.axes(call.inputs[0].toTensor());
  for (const at::Tensor& y : tensors_among(call.outputs)) {
    for (size_t dim = axes.size() - 2; dim < axes.size(); ++dim) {
      traced.units.fix(axes[dim]);
      axes[dim] = traced.units.add(y.size(static_cast<int64_t>(dim)), /*fixed=*/true);
    }
    traced.set(y, axes);
  }
}

void reshape(TracedTensors& traced, const TracedCall& call) {
  const TensorAxes axes = traced.axes(call.inputs[0].toTensor());
  traced.set(output(call), traced.units.reshape(axes, output(call).sizes()));
}

void transpose(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& x = call.inputs[0].toTensor();
  TensorAxes axes = traced.axes(x);
  if (call.inputs.size() >= 3)
    std::swap(axes[dimension(call.inputs[1], x.dim())], axes[dimension(call.inputs[2], x.dim())]);
  else  // t()
    std::reverse(axes.begin(), axes.end());
  traced.set(output(call), std::move(axes));
}

void permute(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& x = call.inputs[0].toTensor();
  const TensorAxes axes = traced.axes(x);
  TensorAxes permuted;
  for (const int64_t dim : call.inputs[1].toIntVector())
    permuted.push_back(axes[dimension(dim, x.dim())]);
  traced.set(output(call), std::move(permuted));
}

/// Copies of what has size 1 may be in any order.
void expand(TracedTensors& traced, const TracedCall& call) {
  const TensorAxes axes = traced.axes(call.inputs[0].toTensor());
  const at::IntArrayRef shape = output(call).sizes();
  TensorAxes expanded;
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    const AxisFactors axis = aligned(axes, shape.size(), dim);
    expanded.push_back(axis.empty() ? traced.units.add(shape[dim]) : axis);
  }
  traced.set(output(call), std::move(expanded));
}

/// Of one dimension the order matters, and it goes.
void select(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& x = call.inputs[0].toTensor();
  TensorAxes axes = traced.axes(x);
  const size_t dim = dimension(call.inputs[1], x.dim());
  traced.units.fix(axes[dim]);
  axes.erase(axes.begin() + static_cast<int64_t>(dim));
  traced.set(output(call), std::move(axes));
}

/// Equal pieces of a dimension have the same units; of others the order matters.
void pieces_of(TracedTensors& traced, const at::Tensor& x, size_t dim,
               const std::vector<at::Tensor>& pieces, bool equal) {
  TensorAxes axes = traced.axes(x);
  const auto whole = static_cast<int64_t>(dim);
  for (const at::Tensor& piece : pieces) {
    TensorAxes of_piece = axes;
    if (piece.size(whole) != x.size(whole)) {
      if (equal && x.size(whole) % piece.size(whole) == 0) {
        const TensorAxes parts = traced.units.reshape(
            {axes[dim]}, {x.size(whole) / piece.size(whole), piece.size(whole)});
        traced.units.fix(parts[0]);
        of_piece[dim] = parts[1];
      } else {
        traced.units.fix(axes[dim]);
        of_piece[dim] = traced.units.add(piece.size(whole), /*fixed=*/true);
      }
    }
    traced.set(piece, std::move(of_piece));
  }
}

void slice(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& x = call.inputs[0].toTensor();
  const size_t dim = dimension(call.inputs[1], x.dim());
  const at::Tensor& y = output(call);
  const int64_t length = y.size(static_cast<int64_t>(dim));
  // slice(self, dim, start, end, step) or narrow(self, dim, start, length).
  int64_t start = call.inputs[2].isInt() ? call.inputs[2].toInt() : 0;
  if (start < 0) start += x.size(static_cast<int64_t>(dim));
  const bool stepped = call.inputs.size() > 4 && call.inputs[4].toInt() != 1;
  pieces_of(traced, x, dim, {y}, !stepped && length > 0 && start % length == 0);
}

void split(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& x = call.inputs[0].toTensor();
  const std::vector<at::Tensor> pieces = tensors_among(call.outputs);
  const size_t dim = call.inputs.size() > 2 ? dimension(call.inputs[2], x.dim()) : 0;
  const bool equal = std::all_of(pieces.begin(), pieces.end(), [&](const at::Tensor& piece) {
    return piece.sizes() == pieces.front().sizes();
  });
  pieces_of(traced, x, dim, pieces, equal);
}

void concatenate(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& y = output(call);
  const size_t joined = call.inputs.size() > 1 ? dimension(call.inputs[1], y.dim()) : size_t{0};
  TensorAxes axes(static_cast<size_t>(y.dim()));
  for (const at::Tensor& piece : tensors_among(call.inputs)) {
    if (piece.dim() != y.dim()) continue;  // an empty one
    const TensorAxes of_piece = traced.axes(piece);
    for (size_t dim = 0; dim < axes.size(); ++dim)
      if (dim == joined)
        traced.units.fix(of_piece[dim]);
      else if (axes[dim].empty())
        axes[dim] = of_piece[dim];
      else
        traced.units.join(axes[dim], of_piece[dim]);
  }
  axes[joined] = traced.units.add(y.size(static_cast<int64_t>(joined)), /*fixed=*/true);
  traced.set(y, std::move(axes));
}

/// Products over the last dimension of one and the last but one of the other; those before them are
/// broadcast.
void matrix_product(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor &a = call.inputs[0].toTensor(), &b = call.inputs[1].toTensor();
  if (a.dim() < 2 || b.dim() < 2) return fix_all(traced, call);
  const TensorAxes of_a = traced.axes(a), of_b = traced.axes(b);
  traced.units.join(of_a.back(), of_b[of_b.size() - 2]);
  const auto dims = static_cast<size_t>(output(call).dim());
  TensorAxes axes(dims);
  for (size_t dim = 0; dim + 2 < dims; ++dim) {
    axes[dim] = aligned(of_a, dims, dim);
    const AxisFactors other = aligned(of_b, dims, dim);
    if (axes[dim].empty())
      axes[dim] = other;
    else if (!other.empty())
      traced.units.join(axes[dim], other);
  }
  axes[dims - 2] = of_a[of_a.size() - 2];
  axes[dims - 1] = of_b.back();
  traced.set(output(call), std::move(axes));
}

void linear(TracedTensors& traced, const TracedCall& call) {
  TensorAxes axes = traced.axes(call.inputs[0].toTensor());
  const TensorAxes weight = traced.axes(call.inputs[1].toTensor());
  if (weight.size() != 2) return fix_all(traced, call);
  traced.units.join(axes.back(), weight[1]);
  if (const at::Tensor bias = optional_tensor(call.inputs, 2); bias.defined())
    traced.units.join(weight[0], traced.axes(bias).front());
  axes.back() = weight[0];
  traced.set(output(call), std::move(axes));
}

/// Queries [..., heads, tokens, size], keys and values of as many heads or fewer, each of which a
/// number of query heads share.
void attention(TracedTensors& traced, const TracedCall& call) {
  const TensorAxes q = traced.axes(call.inputs[0].toTensor());
  const TensorAxes k = traced.axes(call.inputs[1].toTensor());
  const TensorAxes v = traced.axes(call.inputs[2].toTensor());
  if (q.size() < 3 || k.size() != q.size() || v.size() != q.size()) return fix_all(traced, call);
  AxisUnits& units = traced.units;
  const size_t dims = q.size(), heads = dims - 3;
  for (size_t dim = 0; dim < heads; ++dim) {
    units.join(q[dim], k[dim]);
    units.join(q[dim], v[dim]);
  }
  units.join(k[heads], v[heads]);
  AxisFactors query_heads = q[heads];
  if (const int64_t shared = units.size(k[heads]); shared != units.size(query_heads)) {
    const TensorAxes parts =
        units.reshape({query_heads}, {shared, units.size(query_heads) / shared});
    query_heads = parts[0];
  }
  if (!k[heads].empty()) units.join(query_heads, k[heads]);
  units.join(q[dims - 1], k[dims - 1]);
  units.join(k[dims - 2], v[dims - 2]);
  if (const at::Tensor mask = optional_tensor(call.inputs, 3); mask.defined()) {
    const TensorAxes m = traced.axes(mask);
    for (size_t dim = 0; dim < dims; ++dim)
      if (const AxisFactors axis = aligned(m, dims, dim); !axis.empty())
        units.join(axis, dim + 1 < dims ? q[dim] : k[dims - 2]);
  }
  units.fix(q[dims - 2]);  // a mask may be implied by the order
  units.fix(k[dims - 2]);
  TensorAxes axes = q;
  axes.back() = v.back();
  traced.set(output(call), std::move(axes));
}

/// Rows of a dimension, chosen by an index: index_select(self, dim, index).
void index_select(TracedTensors& traced, const TracedCall& call) {
  const at::Tensor& x = call.inputs[0].toTensor();
  TensorAxes axes = traced.axes(x);
  const size_t dim = dimension(call.inputs[1], x.dim());
  traced.units.fix(axes[dim]);
  axes[dim] = traced.units.add(output(call).size(static_cast<int64_t>(dim)), /*fixed=*/true);
  traced.set(output(call), std::move(axes));
}

/// index(self, indices) of the first dimensions.
void index(TracedTensors& traced, const TracedCall& call) {
  const TensorAxes of_x = traced.axes(call.inputs[0].toTensor());
  const at::Tensor& y = output(call);
  size_t indexed = 0;
  for (const c10::IValue& one : call.inputs[1].toListRef()) {
    if (!one.isTensor() || !one.toTensor().defined()) return fix_all(traced, call);
    indexed += one.toTensor().scalar_type() == at::kBool ? static_cast<size_t>(one.toTensor().dim())
                                                         : size_t{1};
  }
  const size_t passed = of_x.size() - indexed, dims = static_cast<size_t>(y.dim());
  if (indexed > of_x.size() || passed > dims) return fix_all(traced, call);
  TensorAxes axes;
  for (size_t dim = 0; dim < indexed; ++dim) traced.units.fix(of_x[dim]);
  for (size_t dim = 0; dim + passed < dims; ++dim)
    axes.push_back(traced.units.add(y.size(static_cast<int64_t>(dim)), /*fixed=*/true));
  axes.insert(axes.end(), of_x.begin() + static_cast<int64_t>(indexed), of_x.end());
  traced.set(y, std::move(axes));
}

/// Makes constants, whatever its arguments are.
void make_constant(TracedTensors& /*traced*/, const TracedCall& /*call*/) {}

std::unordered_map<std::string_view, AxisRule> all_rules() {
  std::unordered_map<std::string_view, AxisRule> rules;
  const auto put = [&](AxisRule rule, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) rules.emplace(name, rule);
  };
  put(elementwise,
      {"sub",         "rsub",        "mul",         "div",       "pow",          "relu",
       "gelu",        "silu",        "sigmoid",     "tanh",      "erf",          "exp",
       "neg",         "abs",         "rsqrt",       "sqrt",      "square",       "reciprocal",
       "clamp",       "clamp_min",   "clamp_max",   "hardtanh",  "relu6",        "hardswish",
       "hardsigmoid", "where",       "masked_fill", "maximum",   "minimum",      "log",
       "sin",         "cos",         "leaky_relu",  "elu",       "softplus",     "logical_and",
       "logical_or",  "logical_not", "eq",          "ne",        "lt",           "le",
       "gt",          "ge",          "isfinite",    "logaddexp", "floor_divide", "remainder",
       "copy",        "addcmul",     "lerp"});
  put(add, {"add"});
  put(same_axes,
      {"to", "_to_copy", "clone", "contiguous", "detach", "alias", "dropout", "type_as", "softmax",
       "_softmax", "log_softmax", "_log_softmax", "lift_fresh", "cpu", "cuda", "requires_grad"});
  put(layer_norm, {"layer_norm"});
  put(batch_norm, {"batch_norm"});
  put(reduce, {"mean", "sum", "amax", "amin", "any", "all", "max", "min", "var", "std", "var_mean",
               "logsumexp"});
  put(pool, {"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"});
  put(reshape, {"view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze",
                "view_as", "reshape_as"});
  put(transpose, {"transpose", "t", "swapaxes", "swapdims", "numpy_T"});
  put(permute, {"permute"});
  put(expand, {"expand", "expand_as", "broadcast_to"});
  put(select, {"select"});
  put(slice, {"slice", "narrow"});
  put(split, {"split", "chunk", "split_with_sizes"});
  put(concatenate, {"cat", "concat"});
  put(matrix_product, {"matmul", "bmm", "mm"});
  put(linear, {"linear"});
  put(attention, {"scaled_dot_product_attention"});
  put(index_select, {"index_select"});
  put(index, {"index"});
  put(make_constant, {"zeros",      "zeros_like",
                      "ones",       "ones_like",
                      "full",       "full_like",
                      "empty",      "empty_like",
                      "arange",     "scalar_tensor",
                      "new_zeros",  "new_ones",
                      "new_full",   "new_empty",
                      "tensor",     "aminmax",
                      "item",       "equal",
                      "is_nonzero", "nonzero",
                      "tril",       "_local_scalar_dense"});
  return rules;
}

}  // namespace

const TensorAxes& TracedTensors::axes(const at::Tensor& tensor) {
  Traced& traced = traced_[tensor.unsafeGetTensorImpl()];
  if (!traced.tensor.defined())
    traced = {tensor, units.add(tensor.sizes(), /*fixed=*/true), /*constant=*/true};
  if (!traced.first_use) traced.first_use = uses_++;
  return traced.axes;
}

std::optional<size_t> TracedTensors::first_use(const at::Tensor& tensor) const {
  const auto found = traced_.find(tensor.unsafeGetTensorImpl());
  return found == traced_.end() ? std::nullopt : found->second.first_use;
}

void TracedTensors::set(const at::Tensor& tensor, TensorAxes axes) {
  ASSAY_CHECK(static_cast<int64_t>(axes.size()) == tensor.dim(), "{} axes of a tensor of {}",
              axes.size(), tensor.dim());
  traced_[tensor.unsafeGetTensorImpl()] = {tensor, std::move(axes)};
}

bool TracedTensors::known(const at::Tensor& tensor) const {
  return traced_.contains(tensor.unsafeGetTensorImpl());
}

bool TracedTensors::varies(const at::Tensor& tensor) const {
  const auto found = traced_.find(tensor.unsafeGetTensorImpl());
  return found != traced_.end() && !found->second.constant;
}

AxisRule axis_rule(std::string_view name) {
  static const std::unordered_map<std::string_view, AxisRule> rules = all_rules();
  const auto found = rules.find(name);
  return found == rules.end() ? nullptr : found->second;
}

std::vector<at::Tensor> tensors_among(const std::vector<c10::IValue>& values) {
  std::vector<at::Tensor> tensors;
  const auto add_defined = [&](const at::Tensor& tensor) {
    if (tensor.defined()) tensors.push_back(tensor);
  };
  for (const c10::IValue& value : values)
    if (value.isTensor())
      add_defined(value.toTensor());
    else if (value.isTensorList())
      for (const at::Tensor& tensor : value.toTensorVector()) add_defined(tensor);
  return tensors;
}

void fix_all(TracedTensors& traced, const TracedCall& call) {
  for (const at::Tensor& input : tensors_among(call.inputs)) traced.units.fix(traced.axes(input));
  for (const at::Tensor& result : tensors_among(call.outputs))
    if (traced.known(result))
      traced.units.fix(traced.axes(result));
    else
      traced.set(result, traced.units.add(result.sizes(), /*fixed=*/true));
}

}  // namespace assay
