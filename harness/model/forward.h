/// One forward pass of any architecture, as those who look at data need it.
#pragma once

#include "harness/model/architecture.h"
#include "harness/model/batch.h"

namespace assay {

/// The scores [rows, classes] of a batch, on the weights' device and in their dtype: a row per
/// example for classifiers, a row per true element of ModelBatch::scored, in their order, for
/// models that generate text and for encoders whose tokens are predicted. An encoder without a head
/// gives its embeddings. The rows of a routed ensemble are answered as the tokens before the first
/// that is scored decide, or as its opening does where it is longer. Gradients reach the
/// weights that require them. Says which tokens count (CountedTokens). Errors as those of the
/// architecture.
at::Tensor row_logits(const Architecture& architecture, const StateDict& weights,
                      const ModelBatch& batch);

/// row_logits() of classes. UserError for an encoder of texts or images without a head, whose rows
/// are embeddings.
at::Tensor class_logits(const Architecture& architecture, const StateDict& weights,
                        const ModelBatch& batch);

/// The example of each of these rows: int64 [rows], on the CPU.
at::Tensor row_examples(const ModelBatch& batch);

}  // namespace assay
