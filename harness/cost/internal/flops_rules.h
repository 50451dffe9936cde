/// FLOPs of LibTorch's operators. For the files of this folder.
#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace assay {

using FlopsInputs = c10::ArrayRef<const c10::IValue>;

/// The FLOPs of one call, from the shapes of its inputs.
struct FlopsRule {
  int64_t (*count)(FlopsInputs inputs, int64_t factor);
  int64_t factor = 1;
};
/// By operator name, such as "mm": without "aten::" and the "_" of in-place forms.
using FlopsRules = std::unordered_map<std::string_view, FlopsRule>;

/// Element-wise operators, reductions, matrix products, convolutions, pooling, normalisation.
FlopsRules elementary_rules();
/// Decompositions, solves and inverses (counts of Golub and Van Loan, Matrix Computations), and
/// fused attention.
FlopsRules composed_rules();

/// Whether an operator does no floating-point arithmetic: it copies, gathers, sorts, draws random
/// numbers or queries.
bool has_no_arithmetic(std::string_view name);

}  // namespace assay
