/// Tensors that parameters name by globs.
#pragma once

#include <fnmatch.h>

#include <algorithm>
#include <string>
#include <vector>

namespace assay {

/// Whether one of the globs is the tensor's: '*' stands for any letters, dots included.
inline bool matches_any(const std::vector<std::string>& globs, const std::string& tensor) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return ::fnmatch(glob.c_str(), tensor.c_str(), 0) == 0;
  });
}

}  // namespace assay
