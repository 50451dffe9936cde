/// Tokenized examples of one kind of model, any of which become a batch: for those who look at
/// data or train on it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "harness/lm/encoding.h"
#include "harness/model/batch.h"

namespace assay {

/// Tokens of a ModelBatch that an example takes when it is not padded.
struct ExampleLength {
  int64_t inputs = 0;   ///< of ModelBatch::inputs
  int64_t decoder = 0;  ///< of ModelBatch::decoder_ids
};

class EncodedTexts {
 public:
  virtual ~EncodedTexts() = default;
  virtual int64_t size() const = 0;
  /// The examples at these places, in this order, on the CPU, padded to the longest.
  virtual ModelBatch batch(std::span<const int64_t> places) const = 0;
  /// The true class of every row of scores that row_logits() gives for that batch, int64 [rows].
  /// UserError where an example has none.
  virtual at::Tensor targets(std::span<const int64_t> places) const = 0;
  /// Tokens that the example has, those that are only scored included.
  virtual int64_t tokens(int64_t place) const = 0;
  virtual ExampleLength length(int64_t place) const = 0;
  virtual int64_t bytes() const = 0;
};

/// Inputs of an encoder, each with its class.
class EncoderTexts final : public EncodedTexts {
 public:
  void add(TokenizedInput input, std::optional<int64_t> label);
  int64_t size() const override { return static_cast<int64_t>(inputs_.size()); }
  ModelBatch batch(std::span<const int64_t> places) const override;
  at::Tensor targets(std::span<const int64_t> places) const override;
  int64_t tokens(int64_t place) const override;
  ExampleLength length(int64_t place) const override;
  int64_t bytes() const override;

 private:
  const TokenizedInput& at(int64_t place) const { return inputs_[static_cast<size_t>(place)]; }
  std::vector<TokenizedInput> inputs_;
  std::vector<std::optional<int64_t>> labels_;
};

/// Sequences of a decoder or an encoder-decoder: a context, and tokens that are scored. An encoder
/// reads the context where there is one.
class GeneratorTexts final : public EncodedTexts {
 public:
  /// `start`: the decoder's first token; absent for decoder-only models.
  explicit GeneratorTexts(std::optional<TokenId> start) : start_(start) {}

  void add(ScoredSequence sequence) { sequences_.push_back(std::move(sequence)); }
  int64_t size() const override { return static_cast<int64_t>(sequences_.size()); }
  ModelBatch batch(std::span<const int64_t> places) const override;
  at::Tensor targets(std::span<const int64_t> places) const override;
  int64_t tokens(int64_t place) const override;
  ExampleLength length(int64_t place) const override;
  int64_t bytes() const override;

 private:
  const ScoredSequence& at(int64_t place) const { return sequences_[static_cast<size_t>(place)]; }
  static TokenIds answer(const ScoredSequence& sequence);
  TokenIds read(const ScoredSequence& sequence) const;
  TokenIds decoder_ids(const ScoredSequence& sequence) const;

  std::optional<TokenId> start_;
  std::vector<ScoredSequence> sequences_;
};

/// The sequence with at most `max_tokens` per input of its model: a context loses its beginning, an
/// answer that is too long by itself its end.
ScoredSequence cut_sequence(ScoredSequence sequence, int64_t max_tokens, bool is_encoder_decoder);

}  // namespace assay
