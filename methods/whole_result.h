/// The whole result of another method, for one that goes on with it. What the engine makes section
/// by section (merge/sections.cpp) is made here in one job, so that all of it is there at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/method/component.h"
#include "harness/method/method.h"

namespace assay {

/// How a method makes its result, of which the engine sees one section.
class WholeResult {
 public:
  WholeResult() = default;
  /// Plans the result of `of`.
  WholeResult(const Method& of, const PlanInputs& models);

  /// What the engine is to be given: the method's own plan, of which the engine makes one
  /// section (OutputPlan::config_of). Absent when the method has none.
  std::optional<OutputPlan> plan() const { return plan_; }

  /// The result, by the names of the job's tensors, in the dtypes that the method gives.
  StateDict make(MethodComponent of, const ModelJob& job) const;

 private:
  /// Tensors that the method makes of the same models: the first of those that the engine gives.
  struct Section {
    std::set<std::string> names;
    size_t experts = 0;
    bool with_base = false;
  };

  std::optional<OutputPlan> plan_;
  std::vector<Section> sections_;                      ///< none: all of the job is one
  std::set<std::string> copied_;                       ///< the first expert's
  std::map<std::string, std::vector<int64_t>> zeros_;  ///< their shapes
};

}  // namespace assay
