/// A vocabulary: tokens and their ids.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "harness/core/json.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay {

/// Allows look-up by std::string_view without constructing a string.
struct TextHash {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the library asks for it
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

class Vocabulary {
 public:
  Vocabulary() = default;
  /// From a JSON object of tokens and ids. UserError when an id is negative or too large.
  explicit Vocabulary(const JsonReader& json);
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  /// A known token gets the new id.
  void add(const std::string& token, TokenId id);
  std::optional<TokenId> id(std::string_view token) const;
  /// Null when no token has this id.
  const std::string* token(TokenId id) const;
  /// The highest id + 1; ids in between may be unused.
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  size_t count() const { return ids_.size(); }

  /// The ids of the 256 byte tokens "<0x00>" ... "<0xFF>"; -1 for a missing one.
  std::vector<TokenId> byte_tokens() const;

 private:
  TextMap<TokenId> ids_;
  std::vector<const std::string*> tokens_;  ///< keys of ids_, by id
};

/// "<0x0A>" for 10.
std::string byte_token(unsigned char byte);
/// 10 for "<0x0A>"; absent for other tokens.
std::optional<char> byte_of_token(std::string_view token);

}  // namespace assay
