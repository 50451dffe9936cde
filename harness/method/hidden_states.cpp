#include "harness/method/hidden_states.h"

#include "harness/core/error.h"

namespace assay {

const HiddenStates& hidden_states(const Network& network) {
  const auto* states = dynamic_cast<const HiddenStates*>(&network);
  if (!states) user_error("hidden states are asked for, and this network shows none");
  return *states;
}

}  // namespace assay
