/// What is asked of a language model about text, and its answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

/// The log-probability of `continuation` after `context`. White space between the two belongs to
/// the continuation. An empty context stands for the token that begins a text.
struct LikelihoodRequest {
  std::string context, continuation;
  std::string where{};  ///< the item it belongs to, for messages
};

/// The log-probability of a whole text, each token given as much of what stands before it as the
/// model can take.
struct RollingRequest {
  std::string text;
  int64_t window = 0;  ///< tokens the model sees at most; 0: as many as it can take
  std::string where{};
  /// As lm-evaluation-harness 0.4.13 does: BOS stands before all that the tokenizer makes of a
  /// text, its own BOS and EOS included, and these are scored.
  bool repeat_bos = false;
};

/// Greedy continuation until one of the stop strings, a token that ends a text, or `max_tokens`.
struct GenerationRequest {
  std::string context;
  std::vector<std::string> stop;
  int64_t max_tokens = 256;
  std::string where{};
};

struct Likelihood {
  double log_likelihood = 0;  ///< natural logarithm, summed over the tokens
  bool greedy = false;        ///< every token is the model's first choice
  int64_t tokens = 0;         ///< that were scored
  int64_t dropped = 0;        ///< tokens left out at the context's beginning, as it was too long
};

struct Generation {
  std::string text;  ///< without the stop string
  int64_t tokens = 0;
  bool stopped = false;  ///< by a stop string or the end of the text
  int64_t dropped = 0;   ///< as above
};

struct TextRequests {
  std::vector<LikelihoodRequest> likelihoods{};
  std::vector<RollingRequest> rolling{};
  std::vector<GenerationRequest> generations{};

  bool empty() const { return likelihoods.empty() && rolling.empty() && generations.empty(); }
};

/// One answer per request, in their order.
struct TextResponses {
  std::vector<Likelihood> likelihoods{}, rolling{};
  std::vector<Generation> generations{};
};

}  // namespace assay
