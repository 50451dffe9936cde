/// What becomes of the matches when text is split.
#pragma once

#include <string_view>
#include <vector>

#include "harness/core/json.h"
#include "harness/tokenizer/hf_json/pre_tokenizer.h"

namespace assay {

enum class SplitBehavior {
  kRemoved,             ///< matches go
  kIsolated,            ///< a piece of its own for each
  kMergedWithPrevious,  ///< the first of a run ends the piece before it
  kMergedWithNext,      ///< the last of a run begins the piece after it
  kContiguous           ///< one piece for each run
};

/// "Removed", "Isolated", ... UserError on others.
SplitBehavior read_split_behavior(const JsonReader& json);

/// A stretch of a text, a match or what lies between matches.
struct Stretch {
  size_t begin, end;
  bool match;
};

/// Replaces every piece by those made of its stretches. `find(text, add)` calls
/// add(begin, end) for all matches in a piece's text, from left to right.
template <typename Find>
void split_pieces(Pieces& pieces, SplitBehavior behavior, bool invert, Find&& find);

namespace detail {
/// Merges stretches as the behaviour says and drops the empty ones and those removed.
void arrange(std::vector<Stretch>& stretches, SplitBehavior behavior);
}  // namespace detail

template <typename Find>
void split_pieces(Pieces& pieces, SplitBehavior behavior, bool invert, Find&& find) {
  std::vector<Pieces::Piece> out;
  std::vector<Stretch> stretches;
  for (const Pieces::Piece& piece : pieces.list) {
    stretches.clear();
    size_t done = 0;
    find(pieces.view(piece), [&](size_t begin, size_t end) {
      if (begin > done) stretches.push_back({done, begin, invert});
      stretches.push_back({begin, end, !invert});
      done = end;
    });
    if (done < piece.size()) stretches.push_back({done, piece.size(), invert});
    detail::arrange(stretches, behavior);
    for (const Stretch& s : stretches)
      out.push_back({piece.begin + s.begin, piece.begin + s.end, piece.at_start && s.begin == 0});
  }
  pieces.list = std::move(out);
}

}  // namespace assay
