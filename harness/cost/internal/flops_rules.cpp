#include "harness/cost/internal/flops_rules.h"

#include <ATen/ATen.h>

namespace assay {
namespace {

bool is_tensor(const c10::IValue& value) { return value.isTensor() && value.toTensor().defined(); }

/// Elements of the shape that all input tensors broadcast to. Empty tensors are outputs.
int64_t broadcast_numel(FlopsInputs inputs) {
  std::vector<int64_t> shape;  // last dimension first
  bool any_floating = false;
  for (const c10::IValue& input : inputs) {
    if (!is_tensor(input)) continue;
    const at::Tensor& tensor = input.toTensor();
    if (tensor.numel() == 0) continue;
    any_floating |= tensor.is_floating_point();
    const at::IntArrayRef sizes = tensor.sizes();
    if (shape.size() < sizes.size()) shape.resize(sizes.size(), 1);
    for (size_t i = 0; i < sizes.size(); ++i)
      shape[i] = std::max(shape[i], sizes[sizes.size() - 1 - i]);
  }
  int64_t numel = any_floating ? 1 : 0;
  for (const int64_t size : shape) numel *= size;
  return numel;
}

int64_t per_output(FlopsInputs inputs, int64_t factor) { return factor * broadcast_numel(inputs); }

int64_t per_input(FlopsInputs inputs, int64_t factor) {
  const at::Tensor& tensor = inputs[0].toTensor();
  return tensor.is_floating_point() ? factor * tensor.numel() : 0;
}

/// (target, dim, index, source, ..): every element of the source is added.
int64_t per_source(FlopsInputs inputs, int64_t factor) {
  return per_input(inputs.slice(3), factor);
}

/// One more FLOP per element when the scalar at `position` scales an operand.
int64_t scaled(FlopsInputs inputs, int64_t factor, size_t position) {
  const bool scales = position < inputs.size() && inputs[position].isScalar() &&
                      inputs[position].toScalar().toDouble() != 1.0;
  return per_output(inputs, factor + (scales ? 1 : 0));
}
int64_t add(FlopsInputs inputs, int64_t factor) { return scaled(inputs, factor, 2); }
int64_t addc(FlopsInputs inputs, int64_t factor) { return scaled(inputs, factor, 3); }

/// a [.., n, k] times b [.., k] or [.., k, m].
int64_t product(const at::Tensor& a, const at::Tensor& b) {
  return 2 * a.numel() * (b.dim() >= a.dim() && b.dim() >= 2 ? b.size(-1) : 1);
}
int64_t matrix(FlopsInputs inputs, int64_t) {
  return product(inputs[0].toTensor(), inputs[1].toTensor());
}
/// beta * inputs[0] + alpha * (inputs[1] times inputs[2]): the sum adds one FLOP per element of the
/// result.
int64_t matrix_add(FlopsInputs inputs, int64_t) {
  const at::Tensor &a = inputs[1].toTensor(), &b = inputs[2].toTensor();
  return product(a, b) + product(a, b) / (2 * std::max<int64_t>(1, a.size(-1)));
}
int64_t outer(FlopsInputs inputs, int64_t) {
  return inputs[0].toTensor().numel() * inputs[1].toTensor().numel();
}

int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                     int64_t dilation) {
  return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}
int64_t at_or_last(const std::vector<int64_t>& list, size_t i) {
  return list[std::min(i, list.size() - 1)];
}

/// (input, weight, bias, stride, padding, dilation, transposed, ..). Every element of the result
/// (of the input, when transposed) is multiplied by one filter.
int64_t convolution(FlopsInputs inputs, int64_t) {
  const at::Tensor &x = inputs[0].toTensor(), &w = inputs[1].toTensor();
  if (x.numel() == 0 || w.numel() == 0) return 0;
  const auto stride = inputs[3].toIntVector(), padding = inputs[4].toIntVector(),
             dilation = inputs[5].toIntVector();
  const int64_t filter = w.numel() / w.size(0);
  if (inputs[6].toBool()) return 2 * x.numel() * filter;
  int64_t results = w.size(0) * (x.dim() == w.dim() ? x.size(0) : 1);
  for (int64_t i = 2; i < w.dim(); ++i) {
    const size_t axis = static_cast<size_t>(i - 2);
    results *= window_count(x.size(x.dim() - w.dim() + i), w.size(i), at_or_last(stride, axis),
                            at_or_last(padding, axis), at_or_last(dilation, axis));
  }
  return results * (2 * filter + (is_tensor(inputs[2]) ? 1 : 0));
}

/// (grad_output, input, weight, .., transposed at 7, .., output_mask last): the gradients of input
/// and weight cost a forward pass each.
int64_t convolution_backward(FlopsInputs inputs, int64_t) {
  const at::Tensor &grad = inputs[0].toTensor(), &x = inputs[1].toTensor(),
                   &w = inputs[2].toTensor();
  if (w.numel() == 0) return 0;
  const auto mask = inputs[10].toBoolList();
  const int64_t forward = 2 * (inputs[7].toBool() ? x : grad).numel() * (w.numel() / w.size(0));
  return forward * (mask[0] + mask[1]) + (mask[2] ? grad.numel() : 0);
}

/// (input, kernel, stride, padding, ..) over the last two axes: one per element of every window.
int64_t pool2d(FlopsInputs inputs, int64_t) {
  const at::Tensor& x = inputs[0].toTensor();
  const auto kernel = inputs[1].toIntVector(), padding = inputs[3].toIntVector();
  auto stride = inputs[2].toIntVector();
  if (stride.empty()) stride = kernel;
  int64_t count = x.numel() / std::max<int64_t>(1, x.size(-1) * x.size(-2));
  for (size_t axis = 0; axis < 2; ++axis)
    count *=
        at_or_last(kernel, axis) * window_count(x.size(x.dim() - 2 + static_cast<int64_t>(axis)),
                                                at_or_last(kernel, axis), at_or_last(stride, axis),
                                                at_or_last(padding, axis), 1);
  return count;
}

}  // namespace

FlopsRules elementary_rules() {
  FlopsRules t = {
      {"add", {add, 1}},
      {"sub", {add, 1}},
      {"rsub", {add, 1}},
      {"addcmul", {addc, 2}},
      {"addcdiv", {addc, 2}},
      {"lerp", {per_output, 3}},
      {"gelu", {per_output, 5}},
      {"silu", {per_output, 2}},
      {"index_add", {per_source, 1}},
      {"scatter_add", {per_source, 1}},
      // Gradients are added up by token or by pixel.
      {"embedding_dense_backward", {per_input, 1}},
      {"col2im", {per_input, 1}},
      {"mm", {matrix}},
      {"bmm", {matrix}},
      {"mv", {matrix}},
      {"dot", {matrix}},
      {"vdot", {matrix}},
      {"addmm", {matrix_add}},
      {"baddbmm", {matrix_add}},
      {"addmv", {matrix_add}},
      {"outer", {outer}},
      {"convolution", {convolution}},
      {"convolution_backward", {convolution_backward}},
      {"max_pool2d_with_indices", {pool2d}},
      {"avg_pool2d", {pool2d}},
      // Maximum, difference, exponential, sum, then a quotient or a logarithm and a difference.
      {"_softmax", {per_input, 5}},
      {"_log_softmax", {per_input, 5}},
      {"_softmax_backward_data", {per_input, 4}},
      {"_log_softmax_backward_data", {per_input, 4}},
      {"threshold_backward", {per_output, 1}},
      // Mean, variance (3), normalisation (2), scale and shift (2).
      {"native_layer_norm", {per_input, 8}},
      {"linalg_vector_norm", {per_input, 2}},
      {"norm", {per_input, 2}},
      {"var", {per_input, 4}},
      {"std", {per_input, 4}},
      {"native_group_norm", {per_input, 8}},
      {"native_batch_norm", {per_input, 8}},
      {"_native_batch_norm_legit", {per_input, 8}},
      {"native_layer_norm_backward", {per_input, 14}},
      {"gelu_backward", {per_output, 12}},
      {"silu_backward", {per_output, 6}},
      {"tanh_backward", {per_output, 3}},
      {"sigmoid_backward", {per_output, 3}},
      // Square, mean, square root, product, scale.
      {"_fused_rms_norm", {per_input, 4}},
  };
  for (const char* name :
       {"mul",   "div",     "neg",    "abs",       "sign",  "sqrt",  "rsqrt",      "reciprocal",
        "pow",   "exp",     "log",    "log2",      "sin",   "cos",   "acos",       "tanh",
        "erf",   "sigmoid", "relu",   "clamp",     "floor", "round", "minimum",    "clamp_min",
        "eq",    "ne",      "lt",     "le",        "gt",    "ge",    "maximum",    "clamp_max",
        "atan2", "hypot",   "log1p",  "expm1",     "ceil",  "trunc", "fmod",       "remainder",
        "tan",   "asin",    "atan",   "sinh",      "cosh",  "erfc",  "log10",      "exp2",
        "sgn",   "frac",    "square", "logaddexp", "fmax",  "fmin",  "leaky_relu", "hardtanh"})
    t[name] = {per_output};
  for (const char* name : {"sum", "mean", "prod", "max", "min", "amax", "amin", "argmax", "argmin",
                           "cumsum", "logsumexp", "count_nonzero", "aminmax", "cumprod", "nansum"})
    t[name] = {per_input};
  return t;
}

}  // namespace assay
