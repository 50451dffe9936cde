/// The second stage of a tokenizer.json: cuts the text into pieces that the model sees one by one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// A text in pieces, in order. Parts of the text may be in none of them; no piece is empty.
struct Pieces {
  struct Piece {
    size_t begin, end;  ///< bytes of the text
    bool at_start;      ///< whether the whole input begins here
    size_t size() const { return end - begin; }
  };
  std::string text;
  std::vector<Piece> list;
  size_t most = SIZE_MAX;  ///< bytes that the text may grow to; see check_made()

  std::string_view view(const Piece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.size());
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(Pieces& pieces) const = 0;
};

/// Every piece's text rewritten by `change(text, at_start)`; none of them becomes empty.
template <typename Change>
void rewrite(Pieces& pieces, const Change& change) {
  std::string text;
  text.reserve(pieces.text.size() * 2);
  for (Pieces::Piece& piece : pieces.list) {
    const size_t begin = text.size();
    text += change(pieces.view(piece), piece.at_start);
    piece = {begin, text.size(), piece.at_start};
  }
  pieces.text = std::move(text);
}

/// UserError naming the place when the object is not one of a known pre-tokenizer.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonReader& json);

// By file: pattern_splits.cpp,
std::unique_ptr<PreTokenizer> make_split(JsonReader& json);
std::unique_ptr<PreTokenizer> make_whitespace(JsonReader& json);
// char_splits.cpp,
std::unique_ptr<PreTokenizer> make_whitespace_split(JsonReader& json);
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer(JsonReader& json);
std::unique_ptr<PreTokenizer> make_punctuation(JsonReader& json);
std::unique_ptr<PreTokenizer> make_digits(JsonReader& json);
std::unique_ptr<PreTokenizer> make_char_delimiter_split(JsonReader& json);
std::unique_ptr<PreTokenizer> make_fixed_length(JsonReader& json);
// byte_level_split.cpp,
std::unique_ptr<PreTokenizer> make_byte_level_split(JsonReader& json);
// metaspace.cpp.
std::unique_ptr<PreTokenizer> make_metaspace(JsonReader& json);

}  // namespace assay
