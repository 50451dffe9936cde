#include "harness/method/hidden_states.h"

#include "harness/core/error.h"

namespace assay {

const HiddenStates& hidden_states(const Network& network) {
  const auto* states = dynamic_cast<const HiddenStates*>(&network);
  if (!states) user_error("hidden states are asked for, and this network shows none");
  return *states;
}

at::Tensor logits_and_states(const Network& network, const StateDict& weights, size_t expert,
                             int64_t first, int64_t count, std::vector<at::Tensor>& states) {
  const auto* shown = dynamic_cast<const StatesNetwork*>(&network);
  return shown ? shown->logits_and_states(weights, expert, first, count, states)
               : network.logits(weights, expert, first, count);
}

}  // namespace assay
