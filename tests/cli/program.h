/// The program as a user starts it.
#pragma once

#include <string>
#include <vector>

#include "harness/core/process.h"

namespace assay {

/// Exit codes.
inline constexpr int kUserError = 2, kDataError = 3;

inline ProcessResult assay_program(const std::vector<std::string>& arguments) {
  std::vector<std::string> command{ASSAY_PROGRAM};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_process(command);
}

}  // namespace assay
