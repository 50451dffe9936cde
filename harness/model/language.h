/// Language models: architectures over token ids, and one with its weights and tokenizer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/model/architecture.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// KV cache: keys and values of the tokens before, for every layer. All rows hold the same number
/// of tokens. The mask, not the cache, decides which of them a token attends to.
struct KvCache {
  /// Tokens per row; 0 in a new cache.
  int64_t tokens() const { return positions.defined() ? positions.size(1) : 0; }
  int64_t rows() const { return positions.defined() ? positions.size(0) : 0; }
  /// A cache of the rows `index` (int64 [n]), which may repeat, omit or reorder them.
  KvCache select(const at::Tensor& index) const;
  /// Keeps the first `tokens` tokens only.
  void truncate(int64_t tokens);

  struct Layer {
    at::Tensor keys, values;  ///< [rows, kv heads, tokens, head size]
  };
  std::vector<Layer> layers;
  at::Tensor positions;  ///< int64 [rows, tokens]
};

/// Tokens for one forward pass. Rows may be padded anywhere with any valid id, as long as no token
/// attends to the padding.
struct TokenBatch {
  at::Tensor ids;  ///< int64 [rows, tokens]
  /// int64 [rows, tokens]; undefined: they follow the cache's tokens, 0, 1, 2, ...
  at::Tensor positions{};
  /// Attention mask, bool [rows, tokens, cached + tokens]: true where a token may attend to an
  /// earlier one; undefined: to all of them. A token always attends to itself and never to later
  /// tokens. Sliding windows of an architecture restrict it further, by position.
  at::Tensor mask{};
};

/// A decoder-only language model.
class LanguageArchitecture : public Architecture {
 public:
  virtual int64_t vocabulary() const = 0;
  /// The longest input that config.json states.
  virtual int64_t max_positions() const = 0;
  /// Whether the KV cache of a text of `from` tokens is still valid when the text has grown to `to`
  /// tokens. False where rotary angles depend on the text's length (dynamic NTK, LongRoPE) and
  /// differ between the two lengths: then the whole text must be recomputed. If it is true of two
  /// lengths, it is true of all between them.
  virtual bool can_extend(int64_t /*from*/, int64_t /*to*/) const { return true; }
  /// The number of models that one forward pass runs: more than one in an ensemble.
  virtual int64_t members() const { return 1; }
  /// Hidden states after the last norm, [rows, tokens, width], on the weights' device and dtype.
  /// With a cache, the tokens follow its tokens and are appended to it. UserError when an id is
  /// outside the vocabulary, a position exceeds the learned positions, or the cache cannot be
  /// extended.
  virtual at::Tensor hidden(const StateDict& weights, const TokenBatch& batch,
                            KvCache* cache) const = 0;
  /// The language model head: [..., width] to [..., vocabulary].
  virtual at::Tensor vocabulary_logits(const StateDict& weights,
                                       const at::Tensor& hidden) const = 0;
  /// [rows, tokens, vocabulary] for ids [rows, tokens].
  at::Tensor logits(const StateDict& weights, const at::Tensor& ids) const override;
};

/// A model of text with its weights and tokenizer. Ids of the tokenizer must be below the
/// architecture's vocabulary size.
template <typename Kind>
struct TextModel {
  std::shared_ptr<const Kind> architecture;
  StateDict weights;
  at::Device device;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string weights_hash;  ///< content hash; empty when unknown
};
using LanguageModel = TextModel<LanguageArchitecture>;

}  // namespace assay
