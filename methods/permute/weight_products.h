/// Inner products of two networks' units by their weights, for a search that changes the orders of
/// few groups at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "methods/permute/units.h"

namespace assay {

class WeightProducts {
 public:
  /// The arguments outlive it. Running moments do not count.
  WeightProducts(const UnitGroups& groups, const StateDict& first, const StateDict& other);

  /// Float64 [units, units]: of every unit of the first network (rows) and of the other (columns,
  /// in that one's own order), the other groups being in `orders`. The tensor of the last call
  /// where no order changed that it depends on. Runs on all threads of a OneThreadEach; the bits do
  /// not depend on their number.
  at::Tensor of(size_t group, const std::vector<UnitOrder>& orders);

 private:
  /// What one tensor adds to the sum.
  struct Part {
    const UnitAxis* axis;
    std::vector<size_t> others;     ///< groups of the tensor's other axes
    std::vector<UnitOrder> orders;  ///< theirs, at the last call
    at::Tensor products;            ///< for them; undefined where it is not kept
  };
  struct Group {
    std::vector<Part> parts;
    at::Tensor sum;
  };

  at::Tensor products_of(const Part& part, int64_t units,
                         const std::vector<UnitOrder>& orders) const;

  const UnitGroups& units_;
  const StateDict& first_;
  const StateDict& other_;
  std::vector<Group> groups_;
  int64_t may_keep_ = 0;  ///< bytes of parts' products
};

}  // namespace assay
