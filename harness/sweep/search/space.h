/// The space of a search: points of the unit cube and the parameters that they stand for.
#pragma once

#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/sweep/search_spec.h"

namespace assay {

class SearchSpace {
 public:
  /// See make_search().
  SearchSpace(const SearchSpec& spec, Json fixed, const Json& defaults, size_t num_experts);

  /// A number has a coordinate for each layer group, a list one for each group and entry, a choice
  /// one.
  size_t dimensions() const { return start_.size(); }
  /// The parameters at a point, the fixed ones included. Coordinates outside of [0, 1] are
  /// reflected at the faces of the cube. Numbers have six significant digits, as they are printed.
  Json at(const std::vector<double>& point) const;
  /// Where the row's own parameters are, moved into the space; the middle for what has no number.
  const std::vector<double>& start() const { return start_; }

 private:
  size_t values_of(const SearchedParameter& parameter) const;

  std::vector<SearchedParameter> parameters_;
  std::vector<std::string> groups_;
  Json fixed_;
  size_t num_experts_;
  std::vector<double> start_;
};

}  // namespace assay
