/// Encoders: models with bidirectional attention, which classify or compare texts, or predict
/// tokens that were masked.
#pragma once

#include <memory>

#include "harness/model/architecture.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// Texts for one forward pass; padding may be anywhere, with any valid id.
struct EncoderBatch {
  at::Tensor ids;  ///< int64 [rows, tokens]
  at::Tensor
      types{};  ///< int64 [rows, tokens], token types: 1 in the second of two texts; undefined: 0
  at::Tensor mask{};  ///< bool [rows, tokens], false at padding; undefined: no padding
};

class EncoderArchitecture : public Architecture {
 public:
  virtual int64_t vocabulary() const = 0;
  /// The maximum number of tokens of a text.
  virtual int64_t max_tokens() const = 0;
  /// 0 without a head for classification.
  virtual int64_t classes() const = 0;
  /// Hidden states after the last norm, [rows, tokens, width]. UserError when an id is outside the
  /// vocabulary or a text is too long.
  virtual at::Tensor hidden(const StateDict& weights, const EncoderBatch& batch) const = 0;
  /// [rows, classes]. UserError without a head.
  virtual at::Tensor classify(const StateDict& weights, const EncoderBatch& batch) const = 0;
  /// Whether it has a head for masked tokens.
  virtual bool predicts_tokens() const { return false; }
  /// Scores of the tokens [..., vocabulary] at hidden states [..., width]. UserError without a head
  /// for masked tokens.
  virtual at::Tensor token_logits(const StateDict& weights, const at::Tensor& hidden) const;
  /// classify() of ids [rows, tokens] without padding.
  at::Tensor logits(const StateDict& weights, const at::Tensor& ids) const override;
  /// One vector per text, [rows, width]. Mean pooling (sentence-transformers) unless the
  /// architecture has its own: the mean of each text's hidden states, float32.
  virtual at::Tensor embed(const StateDict& weights, const EncoderBatch& batch) const;
};

/// An encoder with its weights and tokenizer.
struct EncoderModel {
  std::shared_ptr<const EncoderArchitecture> architecture;
  StateDict weights;
  at::Device device;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string weights_hash{};  ///< content hash; empty when unknown
};

}  // namespace assay
