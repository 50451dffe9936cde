/// Matrices of experts stored as factors and rows (docs/merging-experts.md): NAME.weight [out, in]
/// as NAME.left.weight [out, rank], NAME.right.weight [rank, in], NAME.rest.weight [rows, in] and
/// NAME.kept [out], which is 1 for these rows of the rest and 0 for the others. A rest without rows
/// has neither of the last two.
#pragma once

#include <string>

#include "harness/method/method.h"
#include "methods/moe/sparse_low_rank.h"

namespace assay {

/// Plans a matrix so, with all rows; how many are left is open.
void plan_factors(const TensorInfo& matrix, int64_t rank, OutputPlan& plan);
/// The model of a merge, in float32 and under its own names, whether it was planned with such
/// matrices or without.
StateDict model_of_factors(const ModelJob& job);
/// Puts the parts of NAME.weight into the result.
void put_factors(const std::string& name, const SparseLowRank& matrix, StateDict& result);
/// The config.json of a model with these tensors: which matrices are stored so, `low_rank_experts`.
Json config_of_factors(Json config, const StateDict& made);

}  // namespace assay
