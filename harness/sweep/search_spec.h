/// What a row of a sweep file searches: the value of its "search". See docs/sweep-files.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/core/parameters.h"

namespace assay {

/// A parameter that a search varies.
struct SearchedParameter {
  enum class Kind { kNumber, kInteger, kList, kChoice };

  std::string name;
  Kind kind = Kind::kNumber;
  Range range{};                ///< not of kChoice
  std::vector<Json> choices{};  ///< of kChoice: texts or booleans
  int64_t entries = 0;          ///< of kList; 0: one for each expert
};

struct SearchSpec {
  std::string algorithm;  ///< a name of search_algorithms()
  int64_t budget = 0;     ///< evaluations; 0: the algorithm has its own number (greedy)
  uint64_t seed = 0;
  bool accept_equal = false;  ///< greedy: a soup that is as good as the one before replaces it
  std::vector<SearchedParameter> space{};   ///< in name order; not empty
  std::vector<std::string> layer_groups{};  ///< numbers have a value for each; empty: one for all
};

/// "random", "greedy", "cma_es", "nsga2".
const std::vector<std::string>& search_algorithms();

/// Reads "search" of a row whose method has these parameters, `fixed` ones among them. UserError on
/// unknown names, on ranges and choices that the method does not allow, and on settings that the
/// algorithm does not have.
SearchSpec read_search(JsonReader search, const std::vector<ParamDoc>& parameters,
                       const Json& fixed);

/// The most candidates that a search scores for a set of so many experts.
int64_t search_budget(const SearchSpec& spec, size_t num_experts);

}  // namespace assay
