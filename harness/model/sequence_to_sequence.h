/// Encoder-decoder models: the encoder reads a whole text, the decoder generates another one.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "harness/model/generate.h"
#include "harness/model/language.h"
#include "harness/model/routed.h"

namespace assay {

/// The encoder's output, which the decoder attends to.
struct EncodedText {
  at::Tensor states;  ///< hidden states [rows, tokens, width]
  at::Tensor mask;    ///< bool [rows, tokens], false at padding; undefined: no padding
};

/// KV cache of the decoder: keys and values of its own tokens (self-attention) and of the encoded
/// text (cross-attention, filled by the first call of decode()).
struct EncoderDecoderCache {
  KvCache self_attention;
  std::vector<KvCache::Layer> cross_attention;
  EncoderDecoderCache select(const at::Tensor& index) const;
};

class SequenceToSequenceArchitecture : public Architecture {
 public:
  virtual int64_t vocabulary() const = 0;
  /// The id of the decoder's first token (decoder_start_token_id).
  virtual TokenId start_id() const = 0;
  /// The longest text that config.json states; relative positions set no limit of their own.
  virtual std::optional<int64_t> max_positions() const = 0;
  /// As LanguageArchitecture::members.
  virtual int64_t members() const { return 1; }
  /// ids: int64 [rows, tokens]; mask as in EncodedText.
  virtual EncodedText encode(const StateDict& weights, const at::Tensor& ids,
                             const at::Tensor& mask) const = 0;
  /// The decoder's hidden states after the last norm, [rows, tokens, width], for ids [rows, tokens]
  /// that follow the cache's tokens and are appended to it. All rows hold the same number of
  /// tokens.
  virtual at::Tensor decode(const StateDict& weights, const at::Tensor& ids,
                            const EncodedText& text, EncoderDecoderCache* cache) const = 0;
  virtual at::Tensor vocabulary_logits(const StateDict& weights,
                                       const at::Tensor& hidden) const = 0;
  /// [rows, vocabulary]: of the decoder's first token given the text ids [rows, tokens].
  at::Tensor logits(const StateDict& weights, const at::Tensor& ids) const override;
};

using SequenceToSequenceModel = TextModel<SequenceToSequenceArchitecture>;

/// A model that generates text.
using AnyLanguageModel = std::variant<LanguageModel, SequenceToSequenceModel, RoutedModel>;
at::Device device_of(const AnyLanguageModel& model);

/// Greedy decoding, as generate() in generate.h; the encoder reads `texts`.
std::vector<TokenIds> generate(const SequenceToSequenceArchitecture& model,
                               const StateDict& weights, const std::vector<TokenIds>& texts,
                               const GenerateOptions& options);

}  // namespace assay
