/// Which methods `assay list methods --needs` keeps.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/method/info.h"

namespace assay::cli {

class MethodFilter {
 public:
  /// "KEY=VALUE" each, all of which must hold: data=none|inputs|labels, gradients=yes|no,
  /// base=yes|no, architecture=yes|no, experts=N (the method takes N experts),
  /// output=one|task|other (one model of the same form; a model per task; another form). UserError
  /// on others.
  explicit MethodFilter(const std::vector<std::string>& conditions);

  /// `needs`: those of the default parameters.
  bool keeps(const Needs& needs) const;

 private:
  std::vector<std::function<bool(const Needs&)>> conditions_;
};

}  // namespace assay::cli
