/// Log-probabilities of tokens from a model's states.
#pragma once

#include <functional>
#include <vector>

#include "harness/model/language.h"

namespace assay {

struct SequenceScore {
  double log_likelihood = 0;
  bool greedy = true;
};

/// A token to be scored.
struct WantedToken {
  int64_t place;  ///< of the states that predict it
  TokenId token;
  size_t sequence;  ///< that it belongs to
};

struct TokenScore {
  float log_probability;
  bool first_choice;
  size_t sequence;
};

/// The scores of the whole vocabulary, [n, vocabulary], from states [n, width].
using VocabularyHead = std::function<at::Tensor(const at::Tensor& states)>;

/// One per token. states: [places, width]. The head is asked for `most_places` at a time, as the
/// scores of a whole vocabulary are many, and for no place more than once.
std::vector<TokenScore> score_tokens(const VocabularyHead& head, const at::Tensor& states,
                                     std::vector<WantedToken> wanted, int64_t most_places);

/// Adds them to their sequences.
void add_scores(const std::vector<TokenScore>& tokens, std::vector<SequenceScore>& scores);

}  // namespace assay
