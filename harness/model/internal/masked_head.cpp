#include "harness/model/internal/masked_head.h"

#include <ATen/ATen.h>

namespace assay {

MaskedHead MaskedHead::of_bert(Activation activation, double norm_epsilon) {
  return {"cls.predictions.transform.dense",
          "cls.predictions.transform.LayerNorm",
          "cls.predictions.bias",
          "bert.embeddings.word_embeddings",
          "cls.predictions.decoder",
          activation,
          norm_epsilon};
}

MaskedHead MaskedHead::of_roberta(double norm_epsilon) {
  return {"lm_head.dense",   "lm_head.layer_norm",
          "lm_head.bias",    "roberta.embeddings.word_embeddings",
          "lm_head.decoder", assay::activation("gelu", "RoBERTa's head"),
          norm_epsilon};
}

void MaskedHead::add_tensors(std::vector<TensorInfo>& tensors, int64_t width,
                             int64_t vocabulary) const {
  add_linear(tensors, dense, width, width, true);
  add_norm(tensors, norm, width, NormKind::kLayer);
  tensors.push_back({bias, at::kFloat, {vocabulary}});
}

std::vector<std::pair<std::string, std::string>> MaskedHead::tied() const {
  return {{decoder + ".weight", embeddings + ".weight"}, {decoder + ".bias", bias}};
}

at::Tensor MaskedHead::logits(const StateDict& weights, const at::Tensor& hidden) const {
  at::Tensor x = activation(linear(weights, dense, hidden));
  x = normalize(weights, norm, x, NormKind::kLayer, norm_epsilon);
  return linear(weights, embeddings, x) + weights.at(bias);
}

}  // namespace assay
