/// Encoder-decoder models: a text is read as a whole, another is written token by token.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "harness/model/generate.h"
#include "harness/model/language.h"

namespace assay {

/// What a text looks like to the decoder.
struct EncodedText {
  at::Tensor states;  ///< [rows, tokens, width]
  at::Tensor mask;    ///< bool [rows, tokens], false at padding; undefined: there is none
};

/// Keys and values of the tokens written so far and, once known, of the encoded text.
struct WritingCache {
  KvCache written;
  std::vector<KvCache::Layer> text;
  WritingCache select(const at::Tensor& index) const;
};

class SequenceToSequenceArchitecture : public Architecture {
 public:
  virtual int64_t vocabulary() const = 0;
  /// The id that the decoder's text starts with.
  virtual TokenId start_id() const = 0;
  /// The longest text that config.json states; relative positions themselves set no bound.
  virtual std::optional<int64_t> max_positions() const = 0;
  /// As LanguageArchitecture::members.
  virtual int64_t members() const { return 1; }
  /// ids: int64 [rows, tokens]; mask as in EncodedText.
  virtual EncodedText encode(const StateDict& weights, const at::Tensor& ids,
                             const at::Tensor& mask) const = 0;
  /// The decoder's states after the last norm, [rows, tokens, width], for ids [rows, tokens] that
  /// follow what the cache holds and are added to it. All rows hold the same number of tokens.
  virtual at::Tensor decode(const StateDict& weights, const at::Tensor& ids,
                            const EncodedText& text, WritingCache* cache) const = 0;
  virtual at::Tensor vocabulary_logits(const StateDict& weights,
                                       const at::Tensor& hidden) const = 0;
  /// [rows, vocabulary]: of the first token written about ids [rows, tokens].
  at::Tensor logits(const StateDict& weights, const at::Tensor& ids) const override;
};

using SequenceToSequenceModel = TextModel<SequenceToSequenceArchitecture>;

/// Any that writes text.
using AnyLanguageModel = std::variant<LanguageModel, SequenceToSequenceModel>;
at::Device device_of(const AnyLanguageModel& model);

/// Greedily, like generate() in generate.h; `texts` are what the encoder reads.
std::vector<TokenIds> generate(const SequenceToSequenceArchitecture& model,
                               const StateDict& weights, const std::vector<TokenIds>& texts,
                               const GenerateOptions& options);

}  // namespace assay
