#include "harness/tokenizer/sentencepiece/piece_normalizer.h"

#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

PieceNormalizer::PieceNormalizer(const PieceFile& pieces, const ByteTrie& user,
                                 const fs::path& file)
    : user_(&user),
      single_spaces_(pieces.remove_extra_whitespaces),
      space_(pieces.escape_whitespaces ? kSpaceSymbol : " ") {
  const auto map = Charsmap::read(pieces.charsmap);
  if (!map)
    data_error("{}: its table of replacements (precompiled_charsmap) is damaged", file.string());
  map_ = *map;
}

Charsmap::Found PieceNormalizer::next(std::string_view text, StepLimit& limit) const {
  if (const auto user = user_->longest(text, limit))
    return {user->length, text.substr(0, user->length)};
  if (const auto found = map_.longest(text)) return *found;
  const size_t length = utf8_length(static_cast<unsigned char>(text[0]));
  return {length, text.substr(0, length)};
}

std::string PieceNormalizer::apply(std::string_view text, Prefix prefix) const {
  const size_t max_bytes = max_output_bytes(text.size());
  StepLimit limit(text.size());
  while (single_spaces_ && !text.empty()) {
    const Charsmap::Found first = next(text, limit);
    if (first.with != " ") break;
    text.remove_prefix(first.length);
  }
  std::string out;
  if (text.empty()) return out;
  out.reserve(text.size() * 3 / 2);
  const bool begins_with_space = text.starts_with(' ') || text.starts_with(kSpaceSymbol);
  if (prefix == Prefix::kAlways || (prefix == Prefix::kWhereMissing && !begins_with_space))
    out += space_;
  bool after_space = single_spaces_;
  while (!text.empty()) {
    Charsmap::Found found = next(text, limit);
    text.remove_prefix(found.length);
    while (after_space && found.with.starts_with(' ')) found.with.remove_prefix(1);
    for (const char c : found.with)
      if (c == ' ')
        out += space_;
      else
        out += c;
    check_output_bytes(out.size(), max_bytes);
    if (!found.with.empty()) after_space = single_spaces_ && found.with.ends_with(' ');
  }
  while (single_spaces_ && out.ends_with(space_)) out.resize(out.size() - space_.size());
  return out;
}

}  // namespace assay
