#include "harness/tokenizer/sentencepiece/piece_models.h"

#include <algorithm>
#include <functional>
#include <map>

#include "harness/core/error.h"
#include "harness/tokenizer/models/merges.h"
#include "harness/tokenizer/models/vocabulary.h"
#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

using Kind = PieceFile::Kind;

struct UnigramPieces : PieceModel {
  UnigramLattice lattice;
  std::vector<TokenPart> segment(std::string_view text) const override {
    return lattice.best(text);
  }
};

/// BPE by scores: merges the neighbours that form the piece of the highest score.
class BpePieces : public PieceModel {
 public:
  BpePieces(const PieceFile& pieces, TokenId unknown, const ByteTrie& user, const fs::path& file);
  std::vector<TokenPart> segment(std::string_view text) const override;

 private:
  /// The id of a text that can be a symbol; characters without a piece get a new id.
  std::optional<TokenId> symbol(std::string_view text);
  void add_merges(const PieceFile::Piece& piece, TokenId id, int32_t rank, const fs::path& file);

  TextMap<TokenId> symbols_;
  TokenId pieces_, next_;
  TokenId unknown_;
  const ByteTrie* user_;
  Merges merges_;
};

BpePieces::BpePieces(const PieceFile& pieces, TokenId unknown, const ByteTrie& user,
                     const fs::path& file)
    : pieces_(static_cast<TokenId>(pieces.pieces.size())),
      next_(pieces_),
      unknown_(unknown),
      user_(&user),
      merges_(pieces.pieces.size() * 8) {
  std::map<float, int32_t, std::greater<>> ranks;  // pieces of equal score have equal rank
  for (TokenId id = 0; id < pieces_; ++id) {
    const PieceFile::Piece& piece = pieces.pieces[static_cast<size_t>(id)];
    if (piece.kind != Kind::kNormal && piece.kind != Kind::kUnused) continue;
    symbols_.emplace(piece.text, id);
    ranks.emplace(piece.score, 0);
  }
  int32_t next_rank = 0;
  for (auto& [score, rank] : ranks) rank = next_rank++;
  for (TokenId id = 0; id < pieces_; ++id) {
    const PieceFile::Piece& piece = pieces.pieces[static_cast<size_t>(id)];
    if (piece.kind == Kind::kNormal || piece.kind == Kind::kUnused)
      add_merges(piece, id, ranks.at(piece.score), file);
  }
}

std::optional<TokenId> BpePieces::symbol(std::string_view text) {
  if (const auto found = symbols_.find(text); found != symbols_.end()) return found->second;
  if (text.size() != utf8_length(static_cast<unsigned char>(text[0]))) return std::nullopt;
  return symbols_.emplace(text, next_++).first->second;
}

void BpePieces::add_merges(const PieceFile::Piece& piece, TokenId id, int32_t rank,
                           const fs::path& file) {
  const std::string_view text = piece.text;
  if (text.size() > kMaxPatternBytes)
    data_error("{}: the piece {} has {} bytes, where a BPE model's have at most {}", file.string(),
               id, text.size(), kMaxPatternBytes);
  for (size_t at = 0; at < text.size();) {
    at += utf8_length(static_cast<unsigned char>(text[at]));
    if (at >= text.size()) break;
    const auto left = symbol(text.substr(0, at));
    const auto right = left ? symbol(text.substr(at)) : std::nullopt;
    if (!left || !right) continue;
    // Such a piece would be split again after merging.
    if (piece.kind == Kind::kUnused)
      data_error(
          "{}: the piece {} (\"{}\") is marked as "
          "unused in a BPE model, which is not supported",
          file.string(), id, piece.text);
    merges_.add(*left, *right, rank, id);
  }
}

std::vector<TokenPart> BpePieces::segment(std::string_view text) const {
  StepLimit limit(text.size());
  std::vector<Symbol> symbols;
  std::vector<size_t> begins;
  for (size_t at = 0; at < text.size();) {
    begins.push_back(at);
    if (const auto user = user_->longest(text.substr(at), limit)) {
      symbols.push_back({user->number});  // which no merge contains
      at += user->length;
      continue;
    }
    const size_t length = utf8_length(static_cast<unsigned char>(text[at]));
    const auto found = symbols_.find(text.substr(at, length));
    symbols.push_back({found == symbols_.end() ? next_ : found->second});
    at += length;
  }
  merges_.apply(symbols);
  std::vector<TokenPart> parts;
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i].id == Symbol::kMergedAway) continue;
    const TokenId id = symbols[i].id < pieces_ ? symbols[i].id : unknown_;
    const int32_t next = symbols[i].next;
    const size_t end = next < 0 ? text.size() : begins[static_cast<size_t>(next)];
    if (!parts.empty() && id == unknown_ && parts.back().id == unknown_)
      parts.back().end = end;
    else
      parts.push_back({begins[i], end, id});
  }
  return parts;
}

}  // namespace

std::unique_ptr<PieceModel> make_unigram_pieces(const PieceFile& file, TokenId unknown) {
  auto model = std::make_unique<UnigramPieces>();
  float lowest = std::numeric_limits<float>::max(), highest = std::numeric_limits<float>::lowest();
  for (const PieceFile::Piece& piece : file.pieces) {
    if (piece.kind != Kind::kNormal) continue;
    lowest = std::min(lowest, piece.score);
    highest = std::max(highest, piece.score);
  }
  for (size_t id = 0; id < file.pieces.size(); ++id) {
    const PieceFile::Piece& piece = file.pieces[id];
    if (piece.text.empty()) continue;
    // A user-defined piece scores higher than any segmentation of its text.
    const double user_score = static_cast<double>(piece.text.size()) * highest - 0.1;
    if (piece.kind == Kind::kNormal || piece.kind == Kind::kUser)
      model->lattice.add(piece.text, static_cast<TokenId>(id),
                         piece.kind == Kind::kUser ? user_score : piece.score);
  }
  model->lattice.set_unknown(unknown, lowest - kUnknownPenalty);
  return model;
}

std::unique_ptr<PieceModel> make_bpe_pieces(const PieceFile& pieces, TokenId unknown,
                                            const ByteTrie& user, const fs::path& file) {
  return std::make_unique<BpePieces>(pieces, unknown, user, file);
}

}  // namespace assay
