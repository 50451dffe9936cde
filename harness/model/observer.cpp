#include "harness/model/observer.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"

namespace assay {
namespace {

thread_local LayerObserver* active_observer = nullptr;
thread_local CountedTokens* counted_tokens = nullptr;

at::Tensor patches(const LayerInput& input) {
  const ConvolutionWindow& window = input.window;
  const at::Tensor columns =  // [n, channels * kernel, positions]
      at::im2col(input.x.detach(), window.kernel, {1, 1}, window.padding, window.stride);
  return columns.transpose(1, 2).flatten(0, 1);
}

}  // namespace

LayerObserver::LayerObserver() : outer_(active_observer) { active_observer = this; }

LayerObserver::~LayerObserver() { active_observer = outer_; }

LayerObserver* LayerObserver::active() { return active_observer; }

CountedTokens::CountedTokens(at::Tensor mask) : mask_(std::move(mask)), outer_(counted_tokens) {
  counted_tokens = this;
}

CountedTokens::~CountedTokens() { counted_tokens = outer_; }

at::Tensor CountedTokens::current() {
  return counted_tokens ? counted_tokens->mask_ : at::Tensor();
}

at::Tensor counted_rows(const LayerInput& input) {
  if (input.kind == LayerKind::kConvolution) return patches(input);
  const at::Tensor x = input.x.detach();
  const at::Tensor mask = CountedTokens::current();
  if (!mask.defined()) return x.reshape({-1, x.size(-1)});
  ASSAY_CHECK(mask.sizes() == x.sizes().slice(0, static_cast<size_t>(x.dim() - 1)),
              "tokens {} to count in the input {} of {}", shape_text(mask.sizes()),
              shape_text(x.sizes()), input.weight);
  return x.index({mask.to(x.device())});
}

}  // namespace assay
