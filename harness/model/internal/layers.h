/// Layers that architectures share, as functions of a StateDict. All keep the device and dtype of
/// their input and are differentiable.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// Layout of a linear layer's weight: [out, in], or [in, out] as in GPT-2.
enum class LinearLayout { kOutIn, kInOut };

/// x [..., in] to [..., out], with the weights `name`.weight and, when it exists, `name`.bias. The
/// active LayerObserver sees x, as it does in conv2d().
at::Tensor linear(const StateDict& weights, const std::string& name, const at::Tensor& x,
                  LinearLayout layout = LinearLayout::kOutIn);

struct ConvolutionSteps {
  std::array<int64_t, 2> stride{1, 1}, padding{0, 0};
};
/// x [n, channels, height, width] convolved with `name`.weight [out, channels / groups, kernel...],
/// plus `name`.bias when it exists. The weight's shape says how many groups there are.
at::Tensor conv2d(const StateDict& weights, const std::string& name, const at::Tensor& x,
                  const ConvolutionSteps& steps = {});

/// BatchNorm (Ioffe & Szegedy, arXiv:1502.03167) of x [n, channels, ...]: by `name`.running_mean
/// and `name`.running_var, to which gradients flow, or by those of x (BatchNormByBatch); then times
/// `name`.weight plus `name`.bias.
at::Tensor batch_norm(const StateDict& weights, const std::string& name, const at::Tensor& x,
                      double epsilon);

/// Rows of `name`.weight for int64 ids of any shape. UserError when one is outside the table;
/// `what` names the ids in the message.
at::Tensor embedding(const StateDict& weights, const std::string& name, const at::Tensor& ids,
                     std::string_view what);

enum class NormKind {
  kLayer,       ///< Ba et al., arXiv:1607.06450, with `name`.weight and `name`.bias
  kRms,         ///< Zhang & Sennrich, arXiv:1910.07467
  kRmsPlusOne,  ///< RMSNorm whose stored weight is the scale minus one
};

/// Normalises over the last dimension, computed in float32 or the wider dtype of x.
at::Tensor normalize(const StateDict& weights, const std::string& name, const at::Tensor& x,
                     NormKind kind, double epsilon);

/// An element-wise activation function, named in config.json.
using Activation = at::Tensor (*)(const at::Tensor&);
/// UserError listing the known names.
Activation activation(const std::string& name, const std::string& where);

/// The feed-forward part of a transformer block.
class FeedForward {
 public:
  virtual ~FeedForward() = default;
  /// [rows, tokens, width] to the same shape.
  virtual at::Tensor forward(const StateDict& weights, const at::Tensor& x) const = 0;
  /// Its tensors, in any order.
  virtual std::vector<TensorInfo> tensors() const = 0;
};

struct FeedForwardShape {
  int64_t width = 0, inner = 0;
  bool bias = false;
  Activation activation = nullptr;
};
/// down(activation(up(x)))
std::unique_ptr<FeedForward> plain_feed_forward(const FeedForwardShape& shape, std::string up,
                                                std::string down,
                                                LinearLayout layout = LinearLayout::kOutIn);
/// down(activation(gate(x)) * up(x)); Shazeer, arXiv:2002.05202.
std::unique_ptr<FeedForward> gated_feed_forward(const FeedForwardShape& shape, std::string gate,
                                                std::string up, std::string down);
/// The same with the weights of gate and up fused in one tensor, in this order.
std::unique_ptr<FeedForward> fused_gated_feed_forward(const FeedForwardShape& shape,
                                                      std::string gate_up, std::string down);

/// Appends the tensors of linear().
void add_linear(std::vector<TensorInfo>& tensors, const std::string& name, int64_t in, int64_t out,
                bool bias, LinearLayout layout = LinearLayout::kOutIn);
/// Appends the tensors of conv2d() with a square kernel.
void add_conv2d(std::vector<TensorInfo>& tensors, const std::string& name, int64_t in, int64_t out,
                int64_t kernel, bool bias);
/// Appends the tensors of batch_norm().
void add_batch_norm(std::vector<TensorInfo>& tensors, const std::string& name, int64_t channels);
/// Appends the tensors of normalize().
void add_norm(std::vector<TensorInfo>& tensors, const std::string& name, int64_t width,
              NormKind kind);

/// Into name order, as Architecture::tensors() has them.
void sort_by_name(std::vector<TensorInfo>& tensors);
/// The tensors' names, in the same order.
std::vector<std::string> tensor_names(const std::vector<TensorInfo>& tensors);

}  // namespace assay
