/// The output ensemble of language models: a token's probability is the mean of the probabilities
/// that the members give it after the same text.
#pragma once

#include <string>
#include <vector>

#include "harness/model/sequence_to_sequence.h"

namespace assay {

/// One model whose logits are log((1/n) sum over members of softmax(logits of the member)), worked
/// out in float32. A text's probability is the product of these means, and generation follows them:
/// all members read what the ensemble has written. Each member computes in the dtype of its own
/// weights. States of the members stand side by side, as do the layers of their caches. All must be
/// on one device. SkipCell, saying why, when the members
/// are not of one kind or their tokens do not mean the same.
AnyLanguageModel ensemble_of(const std::vector<AnyLanguageModel>& members,
                             std::string weights_hash);

}  // namespace assay
