/// Split behaviours: what happens to the matches of a pattern.
#pragma once

#include <string_view>
#include <vector>

#include "harness/core/json.h"
#include "harness/tokenizer/hf_json/pre_tokenizer.h"

namespace assay {

enum class SplitBehavior {
  kRemoved,             ///< matches are dropped
  kIsolated,            ///< a pre-token of its own for each
  kMergedWithPrevious,  ///< the first of a run ends the pre-token before it
  kMergedWithNext,      ///< the last of a run begins the pre-token after it
  kContiguous           ///< one pre-token for each run
};

/// "Removed", "Isolated", ... UserError on others.
SplitBehavior read_split_behavior(const JsonReader& json);

/// A segment of a text: a match, or the text between matches.
struct Segment {
  size_t begin, end;
  bool match;
};

/// Replaces every pre-token by its segments. `find(text, add)` calls add(begin, end) for all
/// matches in a pre-token's text, from left to right.
template <typename Find>
void split_pre_tokens(PreTokens& pre_tokens, SplitBehavior behavior, bool invert, Find&& find);

namespace detail {
/// Merges segments by the behaviour, and drops the empty and the removed ones.
void merge_segments(std::vector<Segment>& segments, SplitBehavior behavior);
}  // namespace detail

template <typename Find>
void split_pre_tokens(PreTokens& pre_tokens, SplitBehavior behavior, bool invert, Find&& find) {
  std::vector<PreTokens::PreToken> out;
  std::vector<Segment> segments;
  for (const PreTokens::PreToken& pre_token : pre_tokens.list) {
    segments.clear();
    size_t done = 0;
    find(pre_tokens.view(pre_token), [&](size_t begin, size_t end) {
      if (begin > done) segments.push_back({done, begin, invert});
      segments.push_back({begin, end, !invert});
      done = end;
    });
    if (done < pre_token.size()) segments.push_back({done, pre_token.size(), invert});
    detail::merge_segments(segments, behavior);
    for (const Segment& s : segments)
      out.push_back(
          {pre_token.begin + s.begin, pre_token.begin + s.end, pre_token.at_start && s.begin == 0});
  }
  pre_tokens.list = std::move(out);
}

}  // namespace assay
