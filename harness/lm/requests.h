/// Requests to a language model, and its answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

/// The log-probability of `continuation` after `context`. White space between the two belongs to
/// the continuation. An empty context means the BOS token.
struct LikelihoodRequest {
  std::string context, continuation;
  std::string where{};  ///< the item, for messages
};

/// The log-probability of a whole text (rolling log-likelihood): each token is conditioned on as
/// many earlier tokens as the model accepts.
struct RollingRequest {
  std::string text;
  int64_t window = 0;  ///< maximum number of tokens per window; 0: the model's maximum
  std::string where{};
  /// As lm-evaluation-harness 0.4.13: BOS precedes the tokenizer's output, including its own BOS
  /// and EOS, which are scored.
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
  bool greedy = false;        ///< every token is the model's most probable one
  int64_t tokens = 0;         ///< number of scored tokens
  int64_t dropped = 0;        ///< tokens truncated at the beginning of a too long context
};

struct Generation {
  std::string text;  ///< without the stop string
  int64_t tokens = 0;
  bool stopped = false;  ///< ended by a stop string or an end token
  int64_t dropped = 0;   ///< as in Likelihood
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
