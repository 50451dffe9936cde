/// Statistics of experts whose units have been reordered, without computing them again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "methods/permute/units.h"

namespace assay {

/// Why a method that reads these statistics cannot merge experts in other orders; absent when it
/// can. Those of whole tensors or of outputs stay what they are, those with a value for each weight
/// or pair of inputs are reordered.
std::optional<std::string> unmatched_statistic(const std::vector<StatisticRef>& statistics);

/// Evidence with experts' units in these orders. Must not outlive what it is made of.
class MatchedEvidence final : public Evidence {
 public:
  /// `orders`: of each expert; empty ones stay as they are.
  MatchedEvidence(const Evidence& own, const UnitGroups& groups,
                  const std::vector<std::vector<UnitOrder>>& orders)
      : own_(own), groups_(groups), orders_(orders) {}

  bool has_data() const override { return own_.has_data(); }
  std::shared_ptr<const TensorSource> statistic(const StatisticRef& statistic,
                                                size_t expert) const override;
  const Network& network() const override { return own_.network(); }
  const LayerInfo* layer(const std::string& weight) const override { return own_.layer(weight); }
  std::optional<int64_t> block(const std::string& tensor) const override {
    return own_.block(tensor);
  }
  std::vector<PermutationGroup> permutations() const override { return own_.permutations(); }
  Json config_of_shapes(const std::map<std::string, std::vector<int64_t>>& shapes) const override {
    return own_.config_of_shapes(shapes);
  }
  std::unique_ptr<const Network> network_of(const Json& config) const override {
    return own_.network_of(config);
  }

 private:
  const Evidence& own_;
  const UnitGroups& groups_;
  const std::vector<std::vector<UnitOrder>>& orders_;
};

}  // namespace assay
