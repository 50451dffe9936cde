/// Text continued token by token with the most probable one.
#pragma once

#include <functional>
#include <vector>

#include "harness/model/language.h"

namespace assay {

enum class Padding { kLeft, kRight };

/// Texts of different lengths as one batch: padded with id 0 at position 0, where no token looks.
/// They follow the `cached` tokens that all rows of a cache hold. UserError when one is empty.
TokenBatch padded_batch(const std::vector<TokenIds>& texts, Padding padding, int64_t cached = 0);

struct GenerateOptions {
  int64_t max_new_tokens = 64;
  TokenIds stop_ids;  ///< a row ends with the first of these
  /// Asked after every token with the row and its new tokens; true ends the row. May be empty.
  std::function<bool(size_t row, const TokenIds& generated)> stop;
  /// One row that holds what all prompts begin with, so that it need not be read again; each goes
  /// on after it. May be null. Where a prompt's length has other rotary angles it is of no use.
  const KvCache* prefix = nullptr;
  bool use_cache = true;  ///< false: every token is worked out from the whole text anew
  Padding padding = Padding::kLeft;
};

/// The new tokens of every prompt, the one that ended it included. Neither batching, padding, the
/// prefix nor the cache changes them but by rounding. UserError on an empty prompt, an id outside
/// the vocabulary and a text that outgrows learned positions; DataError when logits are not finite.
std::vector<TokenIds> generate(const LanguageArchitecture& model, const StateDict& weights,
                               const std::vector<TokenIds>& prompts,
                               const GenerateOptions& options);

}  // namespace assay
