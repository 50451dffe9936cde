/// Sends tokens to other experts than the routers of a model would.
#pragma once

#include "harness/method/routed_network.h"

namespace assay {

/// Decides for every router that runs on this thread, until it is destroyed. The innermost one
/// holds. TokensToRoute::router is the architecture's name.
class RouteOverride {
 public:
  explicit RouteOverride(RouteTokens route);
  ~RouteOverride();
  RouteOverride(const RouteOverride&) = delete;
  RouteOverride& operator=(const RouteOverride&) = delete;

  /// nullptr when there is none on this thread.
  static const RouteTokens* active();

 private:
  RouteTokens route_;
  RouteOverride* outer_;
};

}  // namespace assay
