/// Runs one cell.
#pragma once

#include <exception>
#include <functional>

#include "harness/sweep/cell.h"
#include "harness/sweep/execution_context.h"
#include "harness/task/task.h"

namespace assay {

/// Sees what a language model answered a task.
using AnswerObserver = std::function<void(const Task& task, const TextResponses& answers)>;

/// Makes the cell's model and scores it. Never throws for an error of the cell: the record's status
/// and reason say what happened. A task that cannot be scored makes the cell a failed one
/// whose record keeps the scores of the other tasks. `error`, where given, becomes the exception
/// behind a status that is not ok.
RunRecord run_cell(ExecutionContext& context, const Cell& cell, std::exception_ptr* error = nullptr,
                   const AnswerObserver& observer = {});

}  // namespace assay
