/// The program as a user starts it.
#pragma once

#include <string>
#include <vector>

#include "harness/core/process.h"

namespace assay {

inline ProcessResult assay_program(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), ASSAY_PROGRAM);
  return run_process(arguments);
}

}  // namespace assay
