#include "harness/tokenizer/sentencepiece_tokenizer.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

using Kind = PieceFile::Kind;

SentencePieceTokenizer::SentencePieceTokenizer(const fs::path& file, Surroundings usual,
                                               const TokenizerSettings& settings, Hasher& hasher) {
  const std::string bytes = read_file(file);
  hasher.text(file.filename().string()).text(bytes);
  read_pieces(bytes, file);
  for (AddedToken token : settings.added) {
    token.normalized = false;  // they are looked for in the text as it is
    token.id = vocabulary_.id(token.content).value_or(token.id);
    added_.add(token);
  }
  added_.prepare(nullptr);
  size_ = vocabulary_.size();
  for (const AddedToken& token : added_.all()) size_ = std::max<int64_t>(size_, token.id + 1);
  configure(settings, hasher);
  put_around(settings.add_bos.value_or(usual.bos), settings.add_eos.value_or(usual.eos));
}

void SentencePieceTokenizer::read_pieces(const std::string& bytes, const fs::path& file) {
  const PieceFile pieces = PieceFile::read(bytes, file);
  for (const PieceFile::Piece& piece : pieces.pieces) {
    const auto id = static_cast<TokenId>(kinds_.size());
    if (valid_utf8(piece.text) != piece.text ||
        (piece.kind == Kind::kByte && !byte_of_token(piece.text)))
      data_error("{}: piece {} is not text, or not a byte as it claims", file.string(), id);
    if (vocabulary_.id(piece.text))
      data_error("{}: two pieces are \"{}\"", file.string(), piece.text);
    vocabulary_.add(piece.text, id);
    kinds_.push_back(piece.kind);
    if (piece.kind == Kind::kUser && !piece.text.empty()) user_.insert(piece.text, id);
    if (piece.kind == Kind::kUnknown) unknown_ = id;
  }
  if (!unknown_) data_error("{}: a SentencePiece model without an unknown piece", file.string());
  const auto control = [&](const std::string& text) {
    const auto id = vocabulary_.id(text);
    return id && kind(*id) == Kind::kControl ? id : std::nullopt;
  };
  bos_ = control(pieces.bos);
  eos_ = control(pieces.eos);
  pad_ = control(pieces.pad);
  if (pieces.byte_fallback) {
    byte_tokens_ = vocabulary_.byte_tokens();
    if (std::count(byte_tokens_.begin(), byte_tokens_.end(), -1))
      data_error("{}: what is unknown is to be spelt in bytes, but not all 256 are pieces",
                 file.string());
  }
  unknown_surface_ = pieces.unknown_surface;
  strip_first_space_ = pieces.add_dummy_prefix || pieces.remove_extra_whitespaces;
  strip_all_first_spaces_ = pieces.remove_extra_whitespaces;
  normalizer_ = std::make_unique<PieceNormalizer>(pieces, user_, file);
  model_ = pieces.model == PieceFile::Model::kBpe ? make_bpe_pieces(pieces, *unknown_, user_, file)
                                                  : make_unigram_pieces(pieces, *unknown_);
}

TokenIds SentencePieceTokenizer::encode(std::string_view text, bool special) const {
  TokenIds ids;
  const std::string valid = valid_utf8(text);
  for (const AddedTokens::Part& part : added_.split(valid, false))
    if (part.token)
      ids.push_back(part.token->id);
    else
      encode_text(std::string_view(valid).substr(part.begin, part.end - part.begin), ids);
  return special ? single_.arrange(std::move(ids)) : ids;
}

void SentencePieceTokenizer::encode_text(std::string_view text, TokenIds& ids) const {
  const std::string normal = normalizer_->apply(text);
  for (const TokenPart& part : model_->cut(normal)) {
    if (byte_tokens_.empty() || kind(part.id) != Kind::kUnknown) {
      ids.push_back(part.id);
      continue;
    }
    for (size_t i = part.begin; i < part.end; ++i)
      ids.push_back(byte_tokens_[static_cast<unsigned char>(normal[i])]);
  }
}

std::string SentencePieceTokenizer::decode(const TokenIds& ids, bool skip_special) const {
  std::string out;
  TokenIds run;  // of pieces that are text
  for (const TokenId id : ids) {
    const AddedToken* added = added_.find(id);
    const std::string text = token(id);  // refuses an id that is none
    const bool control = is_piece(id) && kind(id) == Kind::kControl;
    if (!added && !control) {
      run.push_back(id);
    } else if (const bool special = control || added->special; !special || !skip_special) {
      out += decode_run(run) + text;
      run.clear();
    }
  }
  return out + decode_run(run);
}

std::string SentencePieceTokenizer::decode_run(const TokenIds& ids) const {
  std::string out, bytes;
  bool at_start = true;
  const auto flush = [&] {
    for (size_t i = 0; i < bytes.size();) {
      // What is no character is one U+FFFD for each byte.
      const size_t length = utf8_length(static_cast<unsigned char>(bytes[i]));
      const std::string part = bytes.substr(i, length);
      const bool whole = part.size() == length && valid_utf8(part) == part;
      out += whole ? part : "\uFFFD";
      i += whole ? length : 1;
    }
    bytes.clear();
  };
  for (const TokenId id : ids) {
    std::string_view text = *vocabulary_.token(id);
    if (kind(id) == Kind::kByte) {
      bytes += *byte_of_token(text);
      continue;
    }
    flush();
    if (!out.empty()) at_start = false;
    if (kind(id) == Kind::kUnknown) {
      out += unknown_surface_;
      continue;
    }
    if (at_start && strip_first_space_ && text.starts_with(kSpaceSign)) {
      text.remove_prefix(kSpaceSign.size());
      at_start = strip_all_first_spaces_;
    }
    for (size_t at = text.find(kSpaceSign); at != std::string_view::npos;
         at = text.find(kSpaceSign)) {
      out.append(text, 0, at) += ' ';
      text.remove_prefix(at + kSpaceSign.size());
    }
    out += text;
  }
  flush();
  return out;
}

std::optional<TokenId> SentencePieceTokenizer::id(std::string_view token) const {
  if (const AddedToken* added = added_.find(token)) return added->id;
  return vocabulary_.id(token);
}

std::string SentencePieceTokenizer::token(TokenId id) const {
  if (const AddedToken* added = added_.find(id)) return added->content;
  if (is_piece(id)) return *vocabulary_.token(id);
  data_error("the tokenizer has no token with id {}; ids are below {}", id, size_);
}

}  // namespace assay
