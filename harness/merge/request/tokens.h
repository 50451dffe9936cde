/// Models of different tokenizers as models of one.
#pragma once

#include <memory>

#include "harness/checkpoint/checkpoint.h"

namespace assay {

/// The model with embeddings and heads that have a row for each row of the reference's embedding:
/// its own row of the token of that text, and the mean of its rows where it has none, or where a
/// row is no token. Sets the number of tokens in `config`, which is its own. The model itself where
/// the tokenizers are equal, or where one of them has none.
std::shared_ptr<const TensorSource> with_tokens_of(const Checkpoint& reference,
                                                   const std::shared_ptr<const Checkpoint>& model,
                                                   Json& config);

}  // namespace assay
