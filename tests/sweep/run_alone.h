/// A cell that shares nothing with others.
#pragma once

#include "harness/sweep/run_cell.h"

namespace assay::test {

inline RunRecord run_alone(const Cell& cell, std::exception_ptr* error = nullptr,
                           const AnswerObserver& observer = {}) {
  ExecutionContext context;
  return run_cell(context, cell, error, observer);
}

}  // namespace assay::test
