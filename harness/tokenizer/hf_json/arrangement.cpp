#include "harness/tokenizer/hf_json/arrangement.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "harness/core/error.h"

namespace assay {
namespace {

int64_t shorten(TokenIds& ids, int64_t most) {
  const int64_t excess = static_cast<int64_t>(ids.size()) - most;
  if (excess <= 0) return 0;
  ids.resize(static_cast<size_t>(most));
  return excess;
}

}  // namespace

Arrangement Arrangement::plain(bool pair) {
  Arrangement arrangement{{{Source::kFirst}}};
  if (pair) arrangement.parts.push_back({Source::kSecond, 1});
  return arrangement;
}

int64_t Arrangement::own_tokens() const {
  return std::count_if(parts.begin(), parts.end(),
                       [](const Part& part) { return part.source == Source::kToken; });
}

ArrangedTokens Arrangement::arrange(TokenIds first, TokenIds second, int64_t max_tokens) const {
  const int64_t room = max_tokens - own_tokens();
  if (room < 0)
    data_error("{} tokens are too few: the model's own around a text are {}", max_tokens,
               own_tokens());
  ArrangedTokens arranged;
  TokenIds& shorter = first.size() > second.size() ? second : first;
  TokenIds& longer = first.size() > second.size() ? first : second;
  const int64_t least = std::min<int64_t>(static_cast<int64_t>(shorter.size()), room / 2);
  arranged.dropped = shorten(longer, room - least);
  arranged.dropped += shorten(shorter, room - static_cast<int64_t>(longer.size()));
  for (const Part& part : parts) {
    if (part.source == Source::kToken) {
      arranged.ids.push_back(part.id);
    } else {
      const TokenIds& text = part.source == Source::kFirst ? first : second;
      arranged.ids.insert(arranged.ids.end(), text.begin(), text.end());
    }
    arranged.types.resize(arranged.ids.size(), part.type);
  }
  return arranged;
}

TokenIds Arrangement::arrange(TokenIds text) const {
  return arrange(std::move(text), {}, std::numeric_limits<int32_t>::max()).ids;
}

}  // namespace assay
