#include "harness/model/forward.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/model/encoder.h"
#include "harness/model/image_encoder.h"
#include "harness/model/language.h"
#include "harness/model/observer.h"
#include "harness/model/sequence_to_sequence.h"

namespace assay {
namespace {

/// Hidden states [n, tokens, width] to the rows that are scored.
at::Tensor scored_rows(const at::Tensor& hidden, const at::Tensor& scored) {
  ASSAY_CHECK(scored.defined() && scored.sizes() == hidden.sizes().slice(0, 2),
              "a batch says which of its tokens are scored");
  const at::Tensor index = scored.flatten().nonzero().squeeze(1);
  return hidden.flatten(0, 1).index_select(0, index.to(hidden.device()));
}

at::Tensor decoder_logits(const LanguageArchitecture& model, const StateDict& weights,
                          const ModelBatch& batch) {
  TokenBatch tokens{batch.inputs};
  if (batch.mask.defined()) {
    const int64_t count = batch.inputs.size(1);
    tokens.positions = (batch.mask.cumsum(1) - 1) * batch.mask;
    tokens.mask = batch.mask.unsqueeze(1).expand({-1, count, count});
  }
  at::Tensor hidden;
  {
    const CountedTokens counted(batch.mask);
    hidden = model.hidden(weights, tokens, nullptr);
  }
  return model.vocabulary_logits(weights, scored_rows(hidden, batch.scored));
}

at::Tensor encoder_decoder_logits(const SequenceToSequenceArchitecture& model,
                                  const StateDict& weights, const ModelBatch& batch) {
  const EncodedText text = model.encode(weights, batch.inputs, batch.mask);
  at::Tensor hidden;
  {
    const CountedTokens counted(batch.decoder_mask);
    hidden = model.decode(weights, batch.decoder_ids, text, nullptr);
  }
  return model.vocabulary_logits(weights, scored_rows(hidden, batch.scored));
}

at::Tensor encoder_logits(const EncoderArchitecture& model, const StateDict& weights,
                          const ModelBatch& batch) {
  const EncoderBatch texts{batch.inputs, batch.types, batch.mask};
  if (batch.scored.defined())
    return model.token_logits(weights, scored_rows(model.hidden(weights, texts), batch.scored));
  return model.classes() > 0 ? model.classify(weights, texts) : model.embed(weights, texts);
}

}  // namespace

at::Tensor row_logits(const Architecture& architecture, const StateDict& weights,
                      const ModelBatch& batch) {
  if (const auto* model = dynamic_cast<const LanguageArchitecture*>(&architecture))
    return decoder_logits(*model, weights, batch);
  if (const auto* model = dynamic_cast<const SequenceToSequenceArchitecture*>(&architecture))
    return encoder_decoder_logits(*model, weights, batch);
  if (const auto* model = dynamic_cast<const EncoderArchitecture*>(&architecture))
    return encoder_logits(*model, weights, batch);
  if (dynamic_cast<const RoutedArchitecture*>(&architecture))
    user_error("a routed ensemble runs on sequences, of which its router has read the prompt");
  ASSAY_CHECK(!weights.empty(), "a model without weights");
  const at::Tensor& any = weights.begin()->second;
  return architecture.logits(weights, batch.inputs.to(any.device(), any.scalar_type()));
}

at::Tensor class_logits(const Architecture& architecture, const StateDict& weights,
                        const ModelBatch& batch) {
  const auto* encoder = dynamic_cast<const EncoderArchitecture*>(&architecture);
  if (encoder && encoder->classes() == 0 && !batch.scored.defined())
    user_error(
        "probabilities of classes are asked for, but the model is an encoder without a head");
  const auto* images = dynamic_cast<const ImageEncoder*>(&architecture);
  if (images && !images->has_classes())
    user_error(
        "probabilities of classes are asked for, but the model gives features of images: its head "
        "is no part of it");
  return row_logits(architecture, weights, batch);
}

at::Tensor row_examples(const ModelBatch& batch) {
  if (batch.scored.defined()) return batch.scored.cpu().nonzero().select(1, 0).contiguous();
  return at::arange(batch.inputs.size(0), at::kLong);
}

}  // namespace assay
