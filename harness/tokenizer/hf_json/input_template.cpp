#include "harness/tokenizer/hf_json/input_template.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "harness/core/error.h"

namespace assay {
namespace {

int64_t truncate(TokenIds& ids, int64_t max_tokens) {
  const int64_t excess = static_cast<int64_t>(ids.size()) - max_tokens;
  if (excess <= 0) return 0;
  ids.resize(static_cast<size_t>(max_tokens));
  return excess;
}

}  // namespace

InputTemplate InputTemplate::plain(bool pair) {
  InputTemplate input_template{{{Source::kFirst}}};
  if (pair) input_template.parts.push_back({Source::kSecond, 1});
  return input_template;
}

int64_t InputTemplate::special_tokens() const {
  return std::count_if(parts.begin(), parts.end(),
                       [](const Part& part) { return part.source == Source::kToken; });
}

TokenizedInput InputTemplate::apply(TokenIds first, TokenIds second, int64_t max_tokens) const {
  const int64_t available = max_tokens - special_tokens();
  if (available < 0)
    data_error("{} tokens are too few: the special tokens around a text are {}", max_tokens,
               special_tokens());
  TokenizedInput input;
  TokenIds& shorter = first.size() > second.size() ? second : first;
  TokenIds& longer = first.size() > second.size() ? first : second;
  const int64_t shorter_tokens =
      std::min<int64_t>(static_cast<int64_t>(shorter.size()), available / 2);
  input.dropped = truncate(longer, available - shorter_tokens);
  input.dropped += truncate(shorter, available - static_cast<int64_t>(longer.size()));
  for (const Part& part : parts) {
    if (part.source == Source::kToken) {
      input.ids.push_back(part.id);
    } else {
      const TokenIds& text = part.source == Source::kFirst ? first : second;
      input.ids.insert(input.ids.end(), text.begin(), text.end());
    }
    input.types.resize(input.ids.size(), part.type);
  }
  return input;
}

TokenIds InputTemplate::apply(TokenIds text) const {
  return apply(std::move(text), {}, std::numeric_limits<int32_t>::max()).ids;
}

}  // namespace assay
