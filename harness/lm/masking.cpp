#include "harness/lm/masking.h"

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"

namespace assay {

TokenId mask_id(const Tokenizer& tokenizer) {
  for (const char* name : {"[MASK]", "<mask>"})
    if (const auto id = tokenizer.id(name)) return *id;
  user_error("the model's tokenizer has no token for masked ones: neither [MASK] nor <mask>");
}

TextSpan text_span(const Tokenizer& tokenizer, const TokenizedInput& input) {
  using Source = InputTemplate::Source;
  const auto& parts = tokenizer.input_template(false).parts;
  const auto text = std::find_if(parts.begin(), parts.end(), [](const InputTemplate::Part& part) {
    return part.source == Source::kFirst;
  });
  const auto special = static_cast<int64_t>(parts.size()) - (text != parts.end() ? 1 : 0);
  return {text - parts.begin(), static_cast<int64_t>(input.ids.size()) - special};
}

int64_t masked_count(int64_t tokens) {
  constexpr double kShare = 0.15;
  return std::max<int64_t>(1, std::llround(static_cast<double>(tokens) * kShare));
}

std::vector<MaskedToken> draw_masked(const TokenIds& ids, const TextSpan& span, TokenId mask,
                                     int64_t vocabulary, Rng& rng) {
  constexpr double kMasked = 0.8, kReplaced = 0.9;
  std::vector<int64_t> places = rng.permutation(span.count);
  places.resize(static_cast<size_t>(masked_count(span.count)));
  std::sort(places.begin(), places.end());
  std::vector<MaskedToken> masked;
  for (const int64_t place : places) {
    const double draw = rng.uniform();
    TokenId read = mask;
    if (draw >= kReplaced)
      read = ids[static_cast<size_t>(span.first + place)];
    else if (draw >= kMasked)
      read = static_cast<TokenId>(rng.below(vocabulary));
    masked.push_back({span.first + place, read});
  }
  return masked;
}

}  // namespace assay
