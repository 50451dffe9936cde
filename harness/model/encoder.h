/// Encoders: models that read a text as a whole, to classify or compare it.
#pragma once

#include <memory>

#include "harness/model/architecture.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// Texts for one forward pass; padding may stand anywhere, with any valid id.
struct EncoderBatch {
  at::Tensor ids;      ///< int64 [rows, tokens]
  at::Tensor types{};  ///< int64 [rows, tokens]: 1 in the second of two texts; undefined: all 0
  at::Tensor mask{};   ///< bool [rows, tokens], false at padding; undefined: there is none
};

class EncoderArchitecture : public Architecture {
 public:
  virtual int64_t vocabulary() const = 0;
  /// Most tokens of a text.
  virtual int64_t max_tokens() const = 0;
  /// 0 without a head for classification.
  virtual int64_t classes() const = 0;
  /// States after the last norm, [rows, tokens, width]. UserError when an id is outside the
  /// vocabulary or a text is too long.
  virtual at::Tensor hidden(const StateDict& weights, const EncoderBatch& batch) const = 0;
  /// [rows, classes]. UserError without a head.
  virtual at::Tensor classify(const StateDict& weights, const EncoderBatch& batch) const = 0;
  /// classify() of ids [rows, tokens] without padding.
  at::Tensor logits(const StateDict& weights, const at::Tensor& ids) const override;
  /// The mean of each text's states, float32 [rows, width]: what sentence-transformers calls mean
  /// pooling.
  at::Tensor embed(const StateDict& weights, const EncoderBatch& batch) const;
};

/// What texts are classified or compared with.
struct EncoderModel {
  std::shared_ptr<const EncoderArchitecture> architecture;
  StateDict weights;
  at::Device device;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string weights_hash{};  ///< content hash; empty where it is not known
};

}  // namespace assay
