/// Routers of whole sequences: by a prompt, which members of a routed ensemble go on with it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/method/routed_ensemble.h"
#include "harness/model/language.h"

namespace assay {

using MemberArchitectures = std::vector<std::shared_ptr<const LanguageArchitecture>>;

/// What a router decides from.
struct RoutedPrompt {
  const MemberArchitectures& architectures;
  const std::vector<StateDict>& members;  ///< their weights
  const StateDict& own;  ///< the router's tensors, by their names without "router."
  TokenIds ids;          ///< at least least_tokens() of the router
};

class SequenceRouter {
 public:
  virtual ~SequenceRouter() = default;
  /// How well each member suits the prompt: the higher, the better.
  virtual std::vector<double> scores(const RoutedPrompt& prompt) const = 0;
  /// The tensors that it reads besides the members', by their names without "router.";
  /// `architecture`: the first member's.
  virtual std::vector<TensorInfo> tensors(const LanguageArchitecture& /*architecture*/,
                                          int64_t /*members*/) const {
    return {};
  }
  /// Shorter prompts tell it nothing.
  virtual size_t least_tokens() const { return 1; }
};

/// kPerplexity (MergeME, arXiv:2502.00997): 1 / perplexity of the prompt's tokens after the first,
/// under each member; computed in log space.
/// kTaskVectorGradient (the same, appendix): the cosine of a member's difference from the base
/// "router.base.NAME" and the direction in which the base's loss on the prompt falls, or rises with
/// `ascent`; 0 for a member that is the base.
/// kSequenceEmbedding: the cosine of the mean of the prompt's rows of "router.embedding.weight" and
/// the member's row of "router.rows.weight".
/// kTfidf (BTM, arXiv:2208.03306): the cosine of the prompt's counts of tokens times
/// "router.idf.weight" and the member's row of "router.rows.weight", both [vocabulary].
/// kLogistic: the product of those counts, of unit length, and the member's row: what a logistic
/// regression that knew all members' texts would take the softmax of.
/// kRandom: uniform random numbers, a function of the prompt and of "router.rows.weight".
/// kUniform: no member is better than another.
std::unique_ptr<SequenceRouter> make_sequence_router(SequenceRouterKind kind, bool ascent);

/// The embedding that vocabulary_names() finds, [vocabulary, width]. UserError as it.
TensorInfo embedding_info(const LanguageArchitecture& architecture);

/// The share of each member: a softmax over the `top_k` highest scores divided by `temperature`,
/// and 0 for the others. Of equal scores the first counts as higher.
std::vector<double> shares_of(const std::vector<double>& scores, int64_t top_k, double temperature);

}  // namespace assay
