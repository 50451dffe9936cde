/// A table by layer group, for models with given tensors (harness/method/configuration.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/core/json.h"
#include "harness/method/configuration.h"

namespace assay {

class LayerGroups {
 public:
  /// `where`: the table's place in a file. UserError for a group that no tensor is in.
  LayerGroups(std::string where, const std::map<std::string, Json>& values,
              const std::vector<std::string>& tensors, const BlockOfTensor& blocks);

  /// UserError when two globs with different values match the tensor.
  const Json& value(const std::string& tensor) const;

 private:
  std::string third_of(const std::string& tensor) const;
  void check_group(const std::string& group, const std::vector<std::string>& tensors) const;

  std::string where_;
  const std::map<std::string, Json>& values_;
  const BlockOfTensor& blocks_;
  int64_t num_blocks_ = 0;
};

}  // namespace assay
