/// What of a cell comes from plugins, for its record.
#pragma once

#include "harness/model/architecture.h"
#include "harness/sweep/cell.h"
#include "harness/task/task.h"

namespace assay {

/// The cell's method with its components, and the statistics that it reads.
void note_plugins(const Cell& cell, RunRecord& record);
/// The task's kind, its reader of text and its loader of images.
void note_plugins(const Task& task, RunRecord& record);
void note_plugins(const Architecture& architecture, RunRecord& record);

}  // namespace assay
