/// The head of BERT and RoBERTa for masked language modelling (Devlin et al., arXiv:1810.04805): a
/// layer of the model's width, its norm, and the embeddings as the output layer.
#pragma once

#include <string>
#include <vector>

#include "harness/model/architecture.h"
#include "harness/model/internal/layers.h"

namespace assay {

struct MaskedHead {
  std::string dense, norm, bias;  ///< names of layers, and of the bias of each token
  std::string embeddings;         ///< the layer whose weight [vocabulary, width] is the output's
  std::string decoder;            ///< the name under which files may repeat weight and bias
  Activation activation = nullptr;
  double norm_epsilon = 0;

  /// As transformers' BertForMaskedLM names them, or RobertaForMaskedLM, whose activation is gelu.
  static MaskedHead of_bert(Activation activation, double norm_epsilon);
  static MaskedHead of_roberta(double norm_epsilon);

  void add_tensors(std::vector<TensorInfo>& tensors, int64_t width, int64_t vocabulary) const;
  /// The copies of embeddings and bias that files may have.
  std::vector<std::pair<std::string, std::string>> tied() const;
  /// Hidden states [..., width] to scores of the tokens [..., vocabulary].
  at::Tensor logits(const StateDict& weights, const at::Tensor& hidden) const;
};

}  // namespace assay
