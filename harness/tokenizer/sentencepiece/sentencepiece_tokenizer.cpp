#include "harness/tokenizer/sentencepiece/sentencepiece_tokenizer.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

using Kind = PieceFile::Kind;

SentencePieceTokenizer::SentencePieceTokenizer(const fs::path& file, SpecialTokens defaults,
                                               const TokenizerSettings& settings,
                                               const TokenizerClass& hf_class, Hasher& hasher) {
  const std::string bytes = read_file(file);
  hasher.text(file.filename().string()).text(bytes);
  hasher.text(
      "special pieces");  // the keys must differ from those before special pieces were matched
  read_pieces(PieceFile::read(bytes, file), settings, hf_class, file);
  add_tokens(settings, hf_class);
  configure(settings, hf_class, hasher);
  // A class adds BOS and EOS by the flags; T5's always adds EOS.
  if (!settings.tokenizer_class.empty() || !hf_class.name.empty()) defaults = {false, false};
  add_bos_eos_template(settings.add_bos.value_or(defaults.bos),
                       settings.add_eos.value_or(defaults.eos) || hf_class.name == "T5Tokenizer");
}

void SentencePieceTokenizer::add_tokens(const TokenizerSettings& settings,
                                        const TokenizerClass& hf_class) {
  const auto add = [&](AddedToken token, bool overwrite = false) {
    token.normalized = false;  // they are matched in the raw text
    token.id = vocabulary_.id(token.content).value_or(token.id);
    if (token.id >= 0) added_.add(token, overwrite);
  };
  for (TokenId id = 0; id < vocabulary_.size(); ++id)
    if (kind(id) == Kind::kControl || kind(id) == Kind::kUnknown)
      add({.id = id, .content = *vocabulary_.token(id), .special = true});
    else if (kind(id) == Kind::kUser &&
             hf_class.override_kind == TokenizerClass::Override::kLlamaPrefix)
      add({.id = id, .content = *vocabulary_.token(id)});
  for (const AddedToken& token : settings.added) add(token, true);
  for (const AddedToken& token : settings.special_tokens(hf_class))
    if (!added_.make_special(token.content)) add(token);
  added_.prepare(nullptr);
  size_ = vocabulary_.size();
  for (const AddedToken& token : added_.all()) size_ = std::max<int64_t>(size_, token.id + 1);
}

void SentencePieceTokenizer::read_pieces(PieceFile pieces, const TokenizerSettings& settings,
                                         const TokenizerClass& hf_class, const fs::path& file) {
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
      data_error("{}: byte fallback is set, but not all 256 bytes are pieces", file.string());
  }
  using Prefix = PieceNormalizer::Prefix;
  prefix_ = pieces.add_dummy_prefix ? Prefix::kAlways : Prefix::kNever;
  prefix_parts_ = settings.legacy.value_or(true);
  if (!prefix_parts_ && pieces.add_dummy_prefix) prefix_ = Prefix::kWhereMissing;
  if (hf_class.override_kind ==
      TokenizerClass::Override::kLlamaPrefix) {  // it overrides the normalization
    pieces.charsmap.clear();
    pieces.remove_extra_whitespaces = false;
    pieces.escape_whitespaces = true;
    const std::string_view where = llama_prefix(settings);
    prefix_ = where == "never" ? Prefix::kNever : Prefix::kWhereMissing;
    prefix_parts_ = where == "always";
    pieces.add_dummy_prefix = where != "never";
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
      encode_text(std::string_view(valid).substr(part.begin, part.end - part.begin),
                  part.begin == 0, ids);
  return special ? single_.apply(std::move(ids)) : ids;
}

void SentencePieceTokenizer::encode_text(std::string_view text, bool at_start,
                                         TokenIds& ids) const {
  const std::string normal = normalizer_->apply(
      text, at_start || prefix_parts_ ? prefix_ : PieceNormalizer::Prefix::kNever);
  for (const TokenPart& part : model_->segment(normal)) {
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
    const std::string text = token(id);  // rejects an unknown id
    if (!added || (is_piece(id) && kind(id) == Kind::kUnknown)) {
      run.push_back(id);
    } else if (!added->special || !skip_special) {
      out += decode_run(run, out.empty()) + text;
      run.clear();
    }
  }
  return out + decode_run(run, out.empty());
}

std::string SentencePieceTokenizer::decode_run(const TokenIds& ids, bool at_start) const {
  std::string out, bytes;
  const auto flush = [&] {
    for (size_t i = 0; i < bytes.size();) {
      // An invalid byte becomes one U+FFFD.
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
    if (at_start && strip_first_space_ && text.starts_with(kSpaceSymbol)) {
      text.remove_prefix(kSpaceSymbol.size());
      at_start = strip_all_first_spaces_;
    }
    for (size_t at = text.find(kSpaceSymbol); at != std::string_view::npos;
         at = text.find(kSpaceSymbol)) {
      out.append(text, 0, at) += ' ';
      text.remove_prefix(at + kSpaceSymbol.size());
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
