/// How an output ensemble combines what its members give.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace assay {

enum class EnsembleRule {
  kUsual,          ///< of classifiers kLogits, of language models kProbabilities
  kLogits,         ///< the mean of the members' logits
  kProbabilities,  ///< the mean of the members' probabilities
  kVotes           ///< how many members have it as their best class
};

/// "usual", "logits", "probabilities" or "votes".
std::string ensemble_rule_name(EnsembleRule rule);
/// UserError, naming the four, for another name.
EnsembleRule ensemble_rule_from_name(const std::string& name);

/// [n, classes]: what the ensemble scores a class with, by the members' logits of that shape, at
/// least one. Of probabilities their logarithm. Of votes their number, plus half the mean
/// probability, which decides between classes of equally many. kUsual as kLogits.
at::Tensor combined_logits(EnsembleRule rule, const std::vector<at::Tensor>& logits);

}  // namespace assay
