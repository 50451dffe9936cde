/// Shows the inputs of layers to code that observes a model while it runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>

#include "harness/method/evidence.h"

namespace assay {

/// How a convolution moves over the two last dimensions of its input.
struct ConvolutionWindow {
  std::array<int64_t, 2> kernel{}, stride{1, 1}, padding{0, 0};
  int64_t groups = 1;  ///< of channels that do not mix
  bool operator==(const ConvolutionWindow&) const = default;
};

/// The input of one layer, as it is about to multiply it.
struct LayerInput {
  const std::string& weight;  ///< the name of the layer's weight
  const at::Tensor& x;        ///< linear: [..., in]; convolution: [n, channels, height, width]
  LayerKind kind = LayerKind::kLinear;
  bool in_out = false;         ///< as in LayerInfo
  ConvolutionWindow window{};  ///< of a convolution
};

/// Where in a transformer block hidden states are.
enum class BlockPlace { kInput, kFeedForwardInput };

/// Sees every linear and convolution layer that runs on this thread for as long as it lives.
/// Observers nest: only the innermost one sees.
class LayerObserver {
 public:
  LayerObserver();
  virtual ~LayerObserver();
  LayerObserver(const LayerObserver&) = delete;
  LayerObserver& operator=(const LayerObserver&) = delete;

  virtual void layer(const LayerInput& input) = 0;
  /// What the layer made of that input: linear [..., out], convolution [n, channels, height,
  /// width]; zeros where shapes_only().
  virtual void output(const LayerInput& /*input*/, const at::Tensor& /*y*/) {}
  /// The weight was used as a table of embeddings, and gave these vectors [..., width].
  virtual void embedding(const std::string& /*weight*/, const at::Tensor& /*vectors*/) {}
  /// Hidden states [rows, tokens, width] of a decoder, block by block: what the block reads, and
  /// what its feed-forward does, after the norm.
  virtual void hidden(BlockPlace /*place*/, const at::Tensor& /*x*/) {}
  /// Whether it looks at shapes only: layers and embeddings then give zeros, at no cost.
  virtual bool shapes_only() const { return false; }
  /// A BatchNorm layer `name` (its tensors are `name`.weight, `name`.running_mean ...) is about to
  /// normalise x [n, channels, ...].
  virtual void batch_norm(const std::string& /*name*/, const at::Tensor& /*x*/) {}

  /// nullptr when there is none on this thread.
  static LayerObserver* active();

 private:
  LayerObserver* outer_;
};

/// Says which tokens of the inputs that follow on this thread count, until it is destroyed: bool,
/// of the inputs' shape without the last dimension, false at padding; undefined: all of them. The
/// innermost one holds. Architectures do so where a mask of tokens is theirs to read; where it is
/// not (decoders, which get attention masks), the caller of the forward pass does.
class CountedTokens {
 public:
  explicit CountedTokens(at::Tensor mask);
  ~CountedTokens();
  CountedTokens(const CountedTokens&) = delete;
  CountedTokens& operator=(const CountedTokens&) = delete;

  /// The mask that holds now.
  static at::Tensor current();

 private:
  at::Tensor mask_;
  CountedTokens* outer_;
};

/// The vectors of a layer's output or of its gradient, one per row [rows, outputs]: linear layers'
/// without the tokens that `mask` leaves out (CountedTokens::current() as the layer ran),
/// convolutions' at every position.
at::Tensor output_rows(const at::Tensor& y, LayerKind kind, const at::Tensor& mask);

/// The vectors that the layer's weight multiplies, one per row: [rows, LayerInfo::inputs]. Tokens
/// that do not count are left out. A convolution's are the patches of its input, unfolded in the
/// order of its weight: channels, kernel rows, kernel columns. Without gradient.
at::Tensor counted_rows(const LayerInput& input);

}  // namespace assay
