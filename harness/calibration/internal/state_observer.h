/// What is kept of the hidden states of a forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "harness/method/hidden_states.h"
#include "harness/model/architecture.h"
#include "harness/model/observer.h"

namespace assay {

/// One vector per example and block: see HiddenStates::states().
class StateObserver final : public LayerObserver {
 public:
  StateObserver(HiddenStates::Tap tap, HiddenStates::Tokens tokens) : tap_(tap), tokens_(tokens) {}

  void layer(const LayerInput& /*input*/) override {}
  void hidden(BlockPlace place, const at::Tensor& x) override;

  std::vector<at::Tensor> states;  ///< of each block, float64 [examples, width]

 private:
  HiddenStates::Tap tap_;
  HiddenStates::Tokens tokens_;
};

/// Sums vectors float64 [examples, tokens, width] over the tokens that count (bool [examples,
/// tokens]; undefined: all).
at::Tensor sum_over_tokens(const at::Tensor& x, const at::Tensor& counted);

/// The weight that is the table of the embeddings of tokens: the first that a forward pass asks.
/// Multiplies nothing. Empty when there is none.
std::string token_embedding(const Architecture& architecture, const StateDict& weights);

}  // namespace assay
