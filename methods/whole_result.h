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
  /// Plans the result of `of`. SkipCell when a tensor of it is made of models that lack it, or of
  /// one model several times where others are not.
  WholeResult(const Method& of, const PlanInputs& models);

  /// What the engine is to be given: the method's own plan, in which every tensor that is made is
  /// made of the same models. Absent when the method has none.
  std::optional<OutputPlan> plan() const { return plan_; }

  /// The result, by the names of the job's tensors, in the dtypes that the method gives.
  StateDict make(MethodComponent of, const ModelJob& job) const;

 private:
  /// Tensors that the method makes of the same models.
  struct Section {
    std::set<std::string> names;
    std::vector<size_t> places;  ///< of its experts among those of the engine's job
    bool with_base = false;
  };

  std::optional<OutputPlan> plan_;
  std::vector<Section> sections_;  ///< none: all of the job is one
  std::map<std::string, Section> copied_;
  std::map<std::string, std::vector<int64_t>> zeros_;  ///< their shapes
};

}  // namespace assay
