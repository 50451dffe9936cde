/// T5's denoising objective (Raffel et al., arXiv:1910.10683, section 3.3.4): spans of a text are
/// replaced by sentinels, and the answer is what was there.
#pragma once

#include "harness/core/rng.h"
#include "harness/lm/encoding.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// The ids of "<extra_id_0>", "<extra_id_1>", ...; empty where the tokenizer has none.
TokenIds sentinels_of(const Tokenizer& tokenizer);

/// About 15 % of the tokens (at least one, not all) are removed, in spans of three on average, as
/// T5's own random_spans_noise_mask divides them: text and spans take turns, text first, and every
/// division into parts of one token or more is equally likely. The context is the text with a
/// sentinel for each span; the scored part is, for each span, its sentinel and its tokens. `end`
/// follows both where there is one. At least two tokens, and a sentinel for every span, as
/// span_count() says.
ScoredSequence corrupt_spans(const TokenIds& tokens, const TokenIds& sentinels,
                             std::optional<TokenId> end, Rng& rng);

/// How many spans are removed from a text of so many tokens.
int64_t span_count(int64_t tokens);

}  // namespace assay
