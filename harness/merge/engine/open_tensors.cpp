#include "harness/merge/engine/open_tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>
#include <string>

#include "harness/core/error.h"

namespace assay {

std::vector<TensorInfo> settled_layout(const std::vector<TensorInfo>& planned,
                                       const OutputPlan& plan, const StateDict& made) {
  std::set<std::string> open;
  for (const OutputTensor& tensor : plan.tensors)
    if (tensor.open) open.insert(tensor.name);
  std::vector<TensorInfo> layout;
  for (TensorInfo info : planned) {
    if (open.contains(info.name)) {
      const auto found = made.find(info.name);
      if (found == made.end()) continue;
      const std::vector<int64_t> shape = found->second.sizes().vec();
      const bool fits = shape.size() == info.shape.size() && !shape.empty() &&
                        std::equal(shape.begin() + 1, shape.end(), info.shape.begin() + 1) &&
                        shape.front() <= info.shape.front();
      if (!fits)
        data_error("'{}' was planned with at most the shape {}, and made with {}", info.name,
                   shape_text(info.shape), shape_text(shape));
      info.shape = shape;
    }
    layout.push_back(std::move(info));
  }
  return layout;
}

}  // namespace assay
