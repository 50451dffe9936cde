/// Masked language modelling (Devlin et al., arXiv:1810.04805): which tokens of an encoder's input
/// are predicted, and what the model reads in their places.
#pragma once

#include <vector>

#include "harness/core/rng.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// "[MASK]", else "<mask>". UserError when the tokenizer has neither.
TokenId mask_id(const Tokenizer& tokenizer);

/// The part of an input of one text that is the text's own, without special tokens around it.
struct TextSpan {
  int64_t first = 0, count = 0;
};
TextSpan text_span(const Tokenizer& tokenizer, const TokenizedInput& input);

/// A token that is predicted: its place in the input, and what is read there.
struct MaskedToken {
  int64_t place = 0;
  TokenId read = 0;
};

/// How many of a text's tokens are predicted: 15 %, at least one.
int64_t masked_count(int64_t tokens);

/// That many tokens of the span, drawn, in ascending order of their places. Of each the model reads
/// the mask (80 %), any token of the vocabulary (10 %) or the token itself (10 %).
std::vector<MaskedToken> draw_masked(const TokenIds& ids, const TextSpan& span, TokenId mask,
                                     int64_t vocabulary, Rng& rng);

}  // namespace assay
