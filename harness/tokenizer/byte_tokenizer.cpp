#include "harness/tokenizer/byte_tokenizer.h"

#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

ByteTokenizer::ByteTokenizer(const TokenizerSettings& settings, Hasher& hasher) {
  configure(settings, TokenizerClass{}, hasher);
}

TokenIds ByteTokenizer::encode(std::string_view text, bool) const {
  TokenIds ids;
  for (const char byte : valid_utf8(text)) ids.push_back(static_cast<unsigned char>(byte));
  return ids;
}

std::string ByteTokenizer::decode(const TokenIds& ids, bool) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += token(id);
  return valid_utf8(bytes);
}

std::optional<TokenId> ByteTokenizer::id(std::string_view token) const {
  if (token.size() != 1) return std::nullopt;
  return static_cast<unsigned char>(token[0]);
}

std::string ByteTokenizer::token(TokenId id) const {
  if (id < 0 || id >= size()) data_error("no byte has the id {}; ids are below {}", id, size());
  return std::string(1, static_cast<char>(id));
}

}  // namespace assay
