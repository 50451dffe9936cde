/// Layers that architectures share, as functions over a StateDict. All keep the device and dtype of
/// their input and let gradients through.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

/// How a linear layer's weight is stored: [out, in], or [in, out] as GPT-2 has it.
enum class LinearLayout { kOutIn, kInOut };

/// x [..., in] to [..., out], with the weights `name`.weight and, when it exists, `name`.bias. The
/// active InputRecorder sees x.
at::Tensor linear(const StateDict& weights, const std::string& name, const at::Tensor& x,
                  LinearLayout layout = LinearLayout::kOutIn);

/// Rows of `name`.weight for int64 ids of any shape. UserError when one is outside the table;
/// `what` says in it what the ids are.
at::Tensor embedding(const StateDict& weights, const std::string& name, const at::Tensor& ids,
                     std::string_view what);

enum class NormKind {
  kLayer,       ///< Ba et al., arXiv:1607.06450, with `name`.weight and `name`.bias
  kRms,         ///< Zhang & Sennrich, arXiv:1910.07467
  kRmsPlusOne,  ///< the stored weight is the scale less one
};

/// Over the last dimension, worked out in float32.
at::Tensor normalize(const StateDict& weights, const std::string& name, const at::Tensor& x,
                     NormKind kind, double epsilon);

/// An element-wise function by the name that config.json gives it.
using Activation = at::Tensor (*)(const at::Tensor&);
/// UserError listing the known names.
Activation activation(const std::string& name, const std::string& where);

/// What follows attention in a block of a transformer.
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
/// The same with the weights of gate and up, in this order, in one tensor.
std::unique_ptr<FeedForward> fused_gated_feed_forward(const FeedForwardShape& shape,
                                                      std::string gate_up, std::string down);

/// Appends the tensors of linear().
void add_linear(std::vector<TensorInfo>& tensors, const std::string& name, int64_t in, int64_t out,
                bool bias, LinearLayout layout = LinearLayout::kOutIn);
/// Appends the tensors of normalize().
void add_norm(std::vector<TensorInfo>& tensors, const std::string& name, int64_t width,
              NormKind kind);

/// While it lives, the inputs of every linear layer that runs on this thread are summed up as Gram
/// matrices. Recorders nest: the innermost records.
class InputRecorder {
 public:
  struct Entry {
    at::Tensor gram;   ///< float64 [in, in]: the sum of x x^T over inputs x, on their device
    int64_t rows = 0;  ///< how many x
  };

  InputRecorder();
  ~InputRecorder();
  InputRecorder(const InputRecorder&) = delete;
  InputRecorder& operator=(const InputRecorder&) = delete;

  /// Tokens that count from now on: bool, of the inputs' shape less the last dimension; undefined:
  /// all. Padding is to be left out.
  void count(at::Tensor tokens) {
    counted_ = std::move(tokens);
    last_input_.reset();
  }
  /// By name of the layer's weight.
  const std::map<std::string, Entry>& entries() const { return entries_; }

  void record(const std::string& weight, const at::Tensor& x);
  /// nullptr when there is none on this thread.
  static InputRecorder* active();

 private:
  InputRecorder* outer_;
  at::Tensor counted_;
  std::map<std::string, Entry> entries_;
  // Several layers take the same input (query, key, value): its product is worked out once.
  at::Tensor last_input_, last_gram_;
  int64_t last_rows_ = 0;
};

}  // namespace assay
