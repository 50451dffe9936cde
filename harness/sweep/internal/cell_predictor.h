/// The model that a cell scores.
#pragma once

#include <memory>
#include <optional>

#include "harness/model/predictor.h"
#include "harness/sweep/execution_context.h"

namespace assay {

/// Loads it, or merges it into the context's buffers, where the next merge takes its place; costs
/// and diagnostics of that are added to the record. `owner`: as TaskRef::owner. DataError when
/// weights or adapter changed since the cell was planned; SkipCell, saying why, when there is no
/// such model.
std::shared_ptr<const Predictor> make_predictor(ExecutionContext& context, const Cell& cell,
                                                std::optional<size_t> owner, RunRecord& record);

}  // namespace assay
