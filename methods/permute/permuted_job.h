/// A merge whose experts have their units in other orders.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "methods/permute/units.h"

namespace assay {

/// Whole tensors of experts, in other orders; parts are cut from them. Their evidence has the
/// statistics in these orders, too. Must not outlive what it is made of.
class PermutedJob final : public ModelJob {
 public:
  /// `orders`: of each expert; empty ones stay as they are.
  PermutedJob(const ModelJob& job, const UnitGroups& groups,
              const std::vector<std::vector<UnitOrder>>& orders, const Evidence& matched)
      : job_(job), groups_(groups), orders_(orders), matched_(matched) {}
  size_t num_experts() const override { return job_.num_experts(); }
  const std::vector<std::string>& names() const override { return job_.names(); }
  TensorParts parts(const std::string& name) const override;
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override;
  const Evidence& evidence() const override { return matched_; }

  /// A whole tensor of the merge, with its experts' units reordered. `matched`: evidence of these,
  /// which outlives the job.
  static TensorJob permuted(const TensorJob& tensor, const UnitGroups& groups,
                            const std::vector<std::vector<UnitOrder>>& orders,
                            const Evidence& matched);

 private:
  const ModelJob& job_;
  const UnitGroups& groups_;
  const std::vector<std::vector<UnitOrder>>& orders_;
  const Evidence& matched_;
};

}  // namespace assay
