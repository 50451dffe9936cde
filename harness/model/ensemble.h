/// The output ensemble of language models: a token's probability is the mean of the members'
/// probabilities after the same text.
#pragma once

#include <string>
#include <vector>

#include "harness/model/sequence_to_sequence.h"

namespace assay {

/// One model whose logits are log((1/n) sum over members of softmax(logits of the member)),
/// computed in float32. A text's probability is the product of these means. Generation follows
/// them: all members read the tokens that the ensemble generated. Each member computes in the dtype
/// of its own weights. The members' hidden states are concatenated, as are the layers of their KV
/// caches. All must be on one device. SkipCell with the reason when the members differ in kind,
/// tokenizer or vocabulary.
AnyLanguageModel ensemble_of(const std::vector<AnyLanguageModel>& members,
                             std::string weights_hash);

}  // namespace assay
