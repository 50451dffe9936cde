/// Greedy decoding: text continued token by token with the most probable token.
#pragma once

#include <functional>
#include <vector>

#include "harness/model/language.h"

namespace assay {

enum class Padding { kLeft, kRight };

/// Texts of different lengths as one batch: padded with id 0 at position 0, which the mask hides
/// from all tokens. They follow the `cached` tokens of a KV cache. UserError when a text is empty.
TokenBatch padded_batch(const std::vector<TokenIds>& texts, Padding padding, int64_t cached = 0);

struct GenerateOptions {
  int64_t max_new_tokens = 64;
  TokenIds stop_ids;  ///< the first of these ends a row
  /// Called after every token with the row and its new tokens; true ends the row. May be empty.
  std::function<bool(size_t row, const TokenIds& generated)> stop;
  /// Prefix cache: one row with the KV cache of the prompts' common prefix, which is not computed
  /// again. May be null. Not used where rotary angles differ at a prompt's length.
  const KvCache* prefix = nullptr;
  bool use_cache = true;  ///< false: the whole text is recomputed for every token
  Padding padding = Padding::kLeft;
};

/// The new tokens of every prompt, including the token that ended it. Batching, padding, prefix and
/// cache change them only by rounding. UserError on an empty prompt, an id outside
/// the vocabulary and a text longer than the learned positions; DataError when logits are not
/// finite.
std::vector<TokenIds> generate(const LanguageArchitecture& model, const StateDict& weights,
                               const std::vector<TokenIds>& prompts,
                               const GenerateOptions& options);

}  // namespace assay
