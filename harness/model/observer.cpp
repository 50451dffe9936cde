#include "harness/model/observer.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/route_override.h"
#include "harness/model/router_observer.h"

namespace assay {
namespace {

thread_local LayerObserver* active_observer = nullptr;
thread_local RouterObserver* active_router_observer = nullptr;
thread_local CountedTokens* counted_tokens = nullptr;
thread_local RouteOverride* active_route_override = nullptr;

at::Tensor patches(const LayerInput& input) {
  const ConvolutionWindow& window = input.window;
  const at::Tensor columns =  // [n, channels * kernel, positions]
      at::im2col(input.x.detach(), window.kernel, {1, 1}, window.padding, window.stride);
  return columns.transpose(1, 2).flatten(0, 1);
}

// The last dimension's vectors, of the tokens that count.
at::Tensor rows_of_tokens(const at::Tensor& x, const at::Tensor& mask) {
  if (!mask.defined()) return x.reshape({-1, x.size(-1)});
  ASSAY_CHECK(mask.sizes() == x.sizes().slice(0, static_cast<size_t>(x.dim() - 1)),
              "tokens {} to count in values {} of a layer", shape_text(mask.sizes()),
              shape_text(x.sizes()));
  return x.index({mask.to(x.device())});
}

}  // namespace

LayerObserver::LayerObserver() : outer_(active_observer) { active_observer = this; }

LayerObserver::~LayerObserver() { active_observer = outer_; }

LayerObserver* LayerObserver::active() { return active_observer; }

RouterObserver::RouterObserver() : outer_(active_router_observer) { active_router_observer = this; }

RouterObserver::~RouterObserver() { active_router_observer = outer_; }

RouterObserver* RouterObserver::active() { return active_router_observer; }

RouteOverride::RouteOverride(RouteTokens route)
    : route_(std::move(route)), outer_(active_route_override) {
  active_route_override = this;
}

RouteOverride::~RouteOverride() { active_route_override = outer_; }

const RouteTokens* RouteOverride::active() {
  return active_route_override ? &active_route_override->route_ : nullptr;
}

CountedTokens::CountedTokens(at::Tensor mask) : mask_(std::move(mask)), outer_(counted_tokens) {
  counted_tokens = this;
}

CountedTokens::~CountedTokens() { counted_tokens = outer_; }

at::Tensor CountedTokens::current() {
  return counted_tokens ? counted_tokens->mask_ : at::Tensor();
}

at::Tensor counted_rows(const LayerInput& input) {
  if (input.kind == LayerKind::kConvolution) return patches(input);
  return rows_of_tokens(input.x.detach(), CountedTokens::current());
}

at::Tensor output_rows(const at::Tensor& y, LayerKind kind, const at::Tensor& mask) {
  const at::Tensor values = y.detach();
  if (kind == LayerKind::kLinear) return rows_of_tokens(values, mask);
  return values.permute({0, 2, 3, 1}).reshape({-1, values.size(1)});
}

}  // namespace assay
