#include "harness/method/routed_network.h"

#include "harness/core/error.h"

namespace assay {

const RoutedNetwork& routed_network(const Network& network) {
  const auto* routed = dynamic_cast<const RoutedNetwork*>(&network);
  if (!routed) user_error("what routers score is asked for, and this network does not show it");
  return *routed;
}

}  // namespace assay
