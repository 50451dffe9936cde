/// The output ensemble of language models: by default, a token's probability is the mean of the
/// members' probabilities after the same text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/model/ensemble_rule.h"
#include "harness/model/sequence_to_sequence.h"

namespace assay {

/// One model whose logits are log((1/n) sum over members of softmax(logits of the member)),
/// computed in float32; by EnsembleRule::kLogits (1/n) sum of log softmax(logits of the member), so
/// that a token's probability is the members' geometric mean, normalised. A text's probability is
/// the product of its tokens'. Generation follows them, greedy decoding, too: all members read the
/// tokens that the ensemble generated. Each member computes in the dtype
/// of its own weights. The members' hidden states are concatenated, as are the layers of their KV
/// caches. All must be on one device. SkipCell with the reason when the members differ in kind,
/// tokenizer or vocabulary, and for a vote, which is of classifiers.
AnyLanguageModel ensemble_of(const std::vector<AnyLanguageModel>& members, std::string weights_hash,
                             EnsembleRule rule = EnsembleRule::kUsual);

/// The same of decoders of one tokenizer, vocabulary and device, with the members' shares, which
/// sum to 1, in place of 1/n.
std::shared_ptr<const LanguageArchitecture> weighted_ensemble(std::vector<LanguageModel> members,
                                                              std::vector<double> shares,
                                                              EnsembleRule rule);

}  // namespace assay
