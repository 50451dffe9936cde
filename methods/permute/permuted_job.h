/// A merge whose experts have their units in other orders.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "methods/permute/units.h"

namespace assay {

/// Whole tensors of experts, in other orders; parts are cut from them. Statistics and blocks are
/// those of the merge. Must not outlive what it is made of.
class PermutedJob final : public ModelJob {
 public:
  /// `orders`: of each expert; empty ones stay as they are.
  PermutedJob(const ModelJob& job, const UnitGroups& groups,
              const std::vector<std::vector<UnitOrder>>& orders)
      : job_(job), groups_(groups), orders_(orders) {}
  size_t num_experts() const override { return job_.num_experts(); }
  const std::vector<std::string>& names() const override { return job_.names(); }
  TensorParts parts(const std::string& name) const override;
  void for_each(const std::function<void(size_t index)>& body) const override {
    job_.for_each(body);
  }
  TensorJob tensor(const std::string& name) const override;
  const Evidence& evidence() const override { return job_.evidence(); }

  /// A whole tensor of the merge, with its experts' units reordered.
  static TensorJob permuted(const TensorJob& tensor, const UnitGroups& groups,
                            const std::vector<std::vector<UnitOrder>>& orders);

 private:
  const ModelJob& job_;
  const UnitGroups& groups_;
  const std::vector<std::vector<UnitOrder>>& orders_;
};

}  // namespace assay
