/// Exit codes of the program in addition to those of the errors in harness/core/error.h.
#pragma once

#include <stdexcept>

namespace assay::cli {

/// The command finished, but some of its work failed: cells of a sweep, tasks of an evaluation. All
/// scores are printed and stored.
struct WorkFailed : std::runtime_error {
  static constexpr int kExitCode = 4;
  using std::runtime_error::runtime_error;
};

/// `assay doctor`: this machine lacks what Assay needs.
struct NotReady : std::runtime_error {
  static constexpr int kExitCode = 5;
  using std::runtime_error::runtime_error;
};

}  // namespace assay::cli
