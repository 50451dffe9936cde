/// Language models: architectures over token ids, and one with its weights and tokenizer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/model/architecture.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// Keys and values of the tokens that a decoder has seen, for every layer. All rows hold the same
/// number of tokens; which of them a token may look at is the mask's affair.
struct KvCache {
  /// Tokens held for every row; 0 when new.
  int64_t tokens() const { return positions.defined() ? positions.size(1) : 0; }
  int64_t rows() const { return positions.defined() ? positions.size(0) : 0; }
  /// A cache of the rows `index` (int64 [n]) of this one: repeated, left out or reordered.
  KvCache select(const at::Tensor& index) const;
  /// Forgets all but the first `tokens` tokens.
  void truncate(int64_t tokens);

  struct Layer {
    at::Tensor keys, values;  ///< [rows, kv heads, tokens, head size]
  };
  std::vector<Layer> layers;
  at::Tensor positions;  ///< int64 [rows, tokens]
};

/// Tokens for one forward pass. Rows may be padded anywhere with any valid id, as long as no token
/// looks at the padding.
struct TokenBatch {
  at::Tensor ids;  ///< int64 [rows, tokens]
  /// int64 [rows, tokens]; undefined: they follow the cache's tokens, 0, 1, 2, ...
  at::Tensor positions{};
  /// bool [rows, tokens, cached + tokens], true where a token may look among those before it;
  /// undefined: at all of them. It always sees itself and never what comes after it. Sliding
  /// windows of an architecture narrow it further, by position.
  at::Tensor mask{};
};

/// A decoder-only language model.
class LanguageArchitecture : public Architecture {
 public:
  virtual int64_t vocabulary() const = 0;
  /// The longest input that config.json states.
  virtual int64_t max_positions() const = 0;
  /// Whether what a cache holds of a text of `from` tokens still counts when the text has grown to
  /// `to`. False where rotary angles depend on the text's length (dynamic NTK, LongRoPE) and the
  /// two lengths differ in them: then the whole text is to be read anew. Lengths between two that
  /// agree agree with them.
  virtual bool can_extend(int64_t /*from*/, int64_t /*to*/) const { return true; }
  /// Models that one forward pass runs: more than one in an ensemble.
  virtual int64_t members() const { return 1; }
  /// States after the last norm, [rows, tokens, width], on the weights' device and dtype. With a
  /// cache, the tokens follow what it holds and are added to it. UserError when an id is outside
  /// the vocabulary, a position beyond what the model can place, or a cache that cannot be
  /// extended.
  virtual at::Tensor hidden(const StateDict& weights, const TokenBatch& batch,
                            KvCache* cache) const = 0;
  /// [..., width] to [..., vocabulary].
  virtual at::Tensor vocabulary_logits(const StateDict& weights,
                                       const at::Tensor& hidden) const = 0;
  /// [rows, tokens, vocabulary] for ids [rows, tokens].
  at::Tensor logits(const StateDict& weights, const at::Tensor& ids) const override;
};

/// What text is scored with. Ids of the tokenizer must be below the architecture's vocabulary.
template <typename Kind>
struct TextModel {
  std::shared_ptr<const Kind> architecture;
  StateDict weights;
  at::Device device;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string weights_hash;  ///< content hash; empty where it is not known
};
using LanguageModel = TextModel<LanguageArchitecture>;

}  // namespace assay
