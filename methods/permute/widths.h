/// How wide each group of units of a partial merge becomes, and what that costs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "methods/permute/partial.h"

namespace assay {

/// Shapes of tensors, by name.
using Shapes = std::map<std::string, std::vector<int64_t>>;
Shapes shapes_of(const StateDict& weights);

/// Which groups keep units side by side.
enum class Allocation {
  kUniform,  ///< every group the same share
  kZip,      ///< the last groups all of them, the others none
  kGreedy    ///< as many shares of groups as a budget allows
};

/// Floating-point operations of the linear layers and convolutions of a partial merge. Rows of one
/// network do not read the separate units of another: these zeros do not count.
class PartialFlops {
 public:
  /// `shapes`: of one network's tensors.
  PartialFlops(const UnitGroups& groups, const Evidence& evidence, const Shapes& shapes,
               size_t models);

  /// Relative to one network, with so many separate units of each group. PLeaS,
  /// arXiv:2407.02447: a layer takes (1 - b)(1 + (models - 1) a) + models b, where a and b are the
  /// separate shares of what it reads and gives.
  double of(const std::vector<int64_t>& separate) const;

 private:
  struct Layer {
    double flops;  ///< of one network
    std::optional<size_t> reads, gives;
  };
  const UnitGroups& groups_;
  std::vector<Layer> layers_;
  double models_, all_ = 0;
};

/// How many units of each group are kept side by side, a share `ratio` of all. Groups that cannot
/// be widened (PartialMerge::can_widen()) keep none.
std::vector<int64_t> separate_by_ratio(const UnitGroups& groups, Allocation allocation,
                                       double ratio);

/// The most that the budget allows: kUniform by the share that all groups have, kZip by the number
/// of groups. kGreedy: the sum over groups of the shares that they keep is to be largest; the group
/// whose next units cost least is filled first, then each group is tried without, until that
/// improves nothing. `budget`: operations relative to one network, at least 1.
std::vector<int64_t> separate_by_flops(const UnitGroups& groups, const PartialFlops& flops,
                                       Allocation allocation, double budget);

/// The plan of a result with so many units of each group side by side: `separate` gets the groups
/// and the shapes of the first expert. SkipCell, which names the method, without an architecture
/// or where it has no such widths.
OutputPlan wider_plan(const PlanInputs& models, bool streams, std::string_view method,
                      const std::function<std::vector<int64_t>(const UnitGroups& groups,
                                                               const Shapes& shapes)>& separate);

/// Estimates the running moments of a result with so many separate units of each group: means over
/// the examples of all experts. Those of units that are all side by side are the networks' own.
void estimate_moments(const ModelJob& job, const UnitGroups& groups,
                      const std::vector<int64_t>& separate, int64_t batch, StateDict& result);

}  // namespace assay
