#include "harness/model/encoder.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"

namespace assay {

at::Tensor EncoderArchitecture::logits(const StateDict& weights, const at::Tensor& ids) const {
  if (ids.dim() != 2)
    data_error("an encoder takes ids of shape [rows, tokens], found {}", shape_text(ids.sizes()));
  return classify(weights, {ids});
}

at::Tensor EncoderArchitecture::token_logits(const StateDict&, const at::Tensor&) const {
  user_error("this {} has no head for masked tokens: its config.json names no ...ForMaskedLM",
             config().at("model_type").get<std::string>());
}

at::Tensor EncoderArchitecture::embed(const StateDict& weights, const EncoderBatch& batch) const {
  const at::Tensor states = hidden(weights, batch).to(at::kFloat);
  if (!batch.mask.defined()) return states.mean(1);
  const at::Tensor weights_of_tokens =
      batch.mask.to(states.device(), states.scalar_type()).unsqueeze(2);
  return (states * weights_of_tokens).sum(1) / weights_of_tokens.sum(1);
}

}  // namespace assay
