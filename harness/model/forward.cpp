#include "harness/model/forward.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

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

/// The tokens of a row that decide about it: those before the first that is scored, or as many as a
/// text without a prompt is opened with.
TokenIds deciding_tokens(const RoutedArchitecture& model, const ModelBatch& batch, int64_t row) {
  const at::Tensor ids = batch.inputs[row].cpu();
  const at::Tensor own = batch.mask.defined() ? batch.mask[row].cpu().nonzero().squeeze(1)
                                              : at::arange(ids.size(0), at::kLong);
  const at::Tensor scored = batch.scored[row].cpu().index_select(0, own);
  const int64_t before =
      scored.any().item<bool>() ? scored.to(at::kInt).argmax().item<int64_t>() : 0;
  const int64_t count = std::min(own.size(0), std::max(before + 1, model.opening()));
  const at::Tensor tokens = ids.index_select(0, own.narrow(0, 0, count)).contiguous();
  return {tokens.const_data_ptr<int64_t>(), tokens.const_data_ptr<int64_t>() + count};
}

/// Rows of one decision go together.
at::Tensor routed_logits(const RoutedArchitecture& model, const StateDict& weights,
                         const ModelBatch& batch) {
  const RoutedModel routed{nullptr, weights, weights.begin()->second.device(), nullptr, ""};
  std::map<std::vector<double>, std::vector<int64_t>> rows;
  for (int64_t row = 0; row < batch.inputs.size(0); ++row)
    rows[model.decide(weights, deciding_tokens(model, batch, row))].push_back(row);
  std::vector<at::Tensor> parts, places;
  const at::Tensor places_of_all =
      (batch.scored.flatten().to(at::kLong).cumsum(0) - 1).view(batch.scored.sizes());
  for (const auto& [shares, of] : rows) {
    const at::Tensor index = at::tensor(of, at::kLong).to(batch.inputs.device());
    ModelBatch own{batch.inputs.index_select(0, index)};
    if (batch.mask.defined()) own.mask = batch.mask.index_select(0, index);
    own.scored = batch.scored.index_select(0, index.to(batch.scored.device()));
    const LanguageModel answering = model.mixed(routed, shares);
    parts.push_back(decoder_logits(*answering.architecture, answering.weights, own));
    places.push_back(
        places_of_all.index_select(0, index.to(batch.scored.device())).masked_select(own.scored));
  }
  const at::Tensor order = at::cat(places).argsort();
  return at::cat(parts).index_select(0, order.to(parts.front().device()));
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
  if (const auto* model = dynamic_cast<const RoutedArchitecture*>(&architecture))
    return routed_logits(*model, weights, batch);
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
