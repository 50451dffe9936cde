/// Log-probabilities of tokens from a model's hidden states.
#pragma once

#include <functional>
#include <vector>

#include "harness/model/language.h"

namespace assay {

struct SequenceScore {
  double log_likelihood = 0;
  bool greedy = true;
};

/// A token to score.
struct TargetToken {
  int64_t position;  ///< row of the hidden states that predicts it
  TokenId token;
  size_t sequence;  ///< index of its sequence
};

struct TokenScore {
  float log_probability;
  bool is_argmax;
  size_t sequence;
};

/// Language model head: logits [n, vocabulary] from hidden states [n, width].
using LanguageModelHead = std::function<at::Tensor(const at::Tensor& states)>;

/// One score per token. states: [positions, width]. The head computes at most `max_positions`
/// positions at a time, which bounds the memory of the logits, and each position once.
std::vector<TokenScore> score_tokens(const LanguageModelHead& head, const at::Tensor& states,
                                     std::vector<TargetToken> targets, int64_t max_positions);

/// Adds the tokens' scores to those of their sequences.
void add_scores(const std::vector<TokenScore>& tokens, std::vector<SequenceScore>& scores);

}  // namespace assay
