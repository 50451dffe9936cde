/// Exit codes of the program beside those of the errors in harness/core/error.h.
#pragma once

#include <stdexcept>

namespace assay::cli {

/// The command ran to its end, and some of its work has no result: cells of a sweep, tasks of an
/// evaluation. What was scored is printed and kept.
struct WorkFailed : std::runtime_error {
  static constexpr int kExitCode = 4;
  using std::runtime_error::runtime_error;
};

}  // namespace assay::cli
