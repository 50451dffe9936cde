#include "harness/tokenizer/models/vocabulary.h"

#include <charconv>

#include "harness/core/error.h"

namespace assay {
namespace {

constexpr int64_t kMaxIds =
    1 << 24;  // far above any vocabulary; limits the memory for an invalid file

}  // namespace

Vocabulary::Vocabulary(const JsonReader& json) {
  if (!json.is_object()) json.fail("expected an object of tokens and ids");
  ids_.reserve(json.json().size());
  for (const auto& [token, value] : json.json().items()) {
    const int64_t id = value.is_number_integer() ? value.get<int64_t>() : -1;
    if (id < 0 || id >= kMaxIds)
      JsonReader(value, fmt::format("{}[\"{}\"]", json.where(), token))
          .fail(fmt::format("expected an id from 0 to {}", kMaxIds - 1));
    add(token, static_cast<TokenId>(id));
  }
}

void Vocabulary::add(const std::string& token, TokenId id) {
  const auto [entry, unused] = ids_.insert_or_assign(token, id);
  const auto place = static_cast<size_t>(id);
  if (place >= tokens_.size()) tokens_.resize(place + 1);
  tokens_[place] = &entry->first;
}

std::optional<TokenId> Vocabulary::id(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::token(TokenId id) const {
  return id >= 0 && id < size() ? tokens_[static_cast<size_t>(id)] : nullptr;
}

std::vector<TokenId> Vocabulary::byte_tokens() const {
  std::vector<TokenId> out(256);
  for (size_t byte = 0; byte < out.size(); ++byte)
    out[byte] = id(byte_token(static_cast<unsigned char>(byte))).value_or(-1);
  return out;
}

std::string byte_token(unsigned char byte) { return fmt::format("<0x{:02X}>", byte); }

std::optional<char> byte_of_token(std::string_view token) {
  constexpr size_t kLength = 6;
  if (token.size() != kLength || !token.starts_with("<0x") || token.back() != '>')
    return std::nullopt;
  unsigned byte = 0;
  const char* digits = token.data() + 3;
  const auto read = std::from_chars(digits, digits + 2, byte, 16);
  if (read.ec != std::errc() || read.ptr != digits + 2) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace assay
