/// What the store and the report say of the parts of a sweep.
#pragma once

#include <string>

#include "harness/method/method.h"
#include "harness/sweep/plan.h"
#include "results/records.h"

namespace assay {

CheckpointRecord checkpoint_record(const SweepModel& model);
TaskRecord task_record(const Task& task);
/// UserError with the nearest name when there is no such method.
MethodRecord method_record(const std::string& name);

/// Requirements as JSON: the form in which they are stored and printed.
Json needs_to_json(const MethodInfo& info);
/// One parameter: name, type, default, range, choices, the values of its own grid, help; of a
/// component its own parameters, too.
Json parameter_to_json(const ParamDoc& parameter);

}  // namespace assay
