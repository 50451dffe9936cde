#include "harness/tokenizer/hf_json/split_behavior.h"

#include <algorithm>
#include <map>
#include <string>

#include "harness/core/error.h"

namespace assay {
namespace {

const std::map<std::string, SplitBehavior>& behaviors() {
  static const std::map<std::string, SplitBehavior> table{
      {"Contiguous", SplitBehavior::kContiguous},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"Removed", SplitBehavior::kRemoved}};
  return table;
}

/// Joins a segment with the one before it wherever `joins(before, segment)`.
template <typename Joins>
void join(std::vector<Segment>& segments, Joins&& joins) {
  std::vector<Segment> out;
  bool match_before = false;
  for (const Segment& s : segments) {
    if (!out.empty() && joins(match_before, s.match))
      out.back().end = s.end;
    else
      out.push_back(s);
    match_before = s.match;
  }
  segments = std::move(out);
}

}  // namespace

SplitBehavior read_split_behavior(const JsonReader& json) {
  const std::string name = json.as_string();
  const auto found = behaviors().find(name);
  if (found != behaviors().end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [text, unused] : behaviors()) known.push_back(text);
  throw UserError(unknown_name("behavior", name, json.where(), known));
}

namespace detail {

void merge_segments(std::vector<Segment>& segments, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kRemoved:
      std::erase_if(segments, [](const Segment& s) { return s.match; });
      break;
    case SplitBehavior::kContiguous:
      join(segments, [](bool before, bool match) { return before == match; });
      break;
    case SplitBehavior::kMergedWithPrevious:
      join(segments, [](bool before, bool match) { return match && !before; });
      break;
    case SplitBehavior::kMergedWithNext: {
      // As above, from right to left.
      std::vector<Segment> out;
      bool match_after = false;
      for (auto s = segments.rbegin(); s != segments.rend(); ++s) {
        if (!out.empty() && s->match && !match_after)
          out.back().begin = s->begin;
        else
          out.push_back(*s);
        match_after = s->match;
      }
      std::reverse(out.begin(), out.end());
      segments = std::move(out);
      break;
    }
  }
  std::erase_if(segments, [](const Segment& s) { return s.begin == s.end; });
}

}  // namespace detail
}  // namespace assay
