#include "harness/tokenizer/models/unigram_lattice.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

void UnigramLattice::add(std::string_view token, TokenId id, double score) {
  trie_.insert(token, id);
  const auto place = static_cast<size_t>(id);
  if (place >= scores_.size()) scores_.resize(place + 1);
  scores_[place] = score;
}

void UnigramLattice::set_unknown(TokenId id, double score) {
  unknown_ = id;
  unknown_score_ = score;
}

std::vector<TokenPart> UnigramLattice::best(std::string_view text) const {
  StepLimit limit(text.size());
  std::vector<End> ends(text.size() + 1);
  for (size_t begin = 0, next = 0; begin < text.size(); begin = next) {
    const size_t one = utf8_length(static_cast<unsigned char>(text[begin]));
    next = begin + one;
    const double before = ends[begin].score;
    bool has_one = false;
    limit.spend(trie_.prefixes(text.substr(begin), [&](size_t length, TokenId id) {
      relax(ends[begin + length], before + scores_[static_cast<size_t>(id)], begin, id);
      has_one |= length == one;
    }));
    if (has_one) continue;
    if (unknown_ < 0)
      data_error("the tokenizer has no token for \"{}\", and no unknown token",
                 text.substr(begin, one));
    relax(ends[next], before + unknown_score_, begin, unknown_);
  }
  std::vector<TokenPart> parts;
  for (size_t end = text.size(); end > 0; end = ends[end].begin) {
    const End& last = ends[end];
    if (!parts.empty() && last.id == unknown_ && parts.back().id == unknown_)
      parts.back().begin = last.begin;
    else
      parts.push_back({last.begin, end, last.id});
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace assay
