/// How many floating-point operations LibTorch's operators take. For the files of this folder.
#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace assay {

using FlopsInputs = c10::ArrayRef<const c10::IValue>;

/// The count of one call, from the shapes of what goes in.
struct FlopsRule {
  int64_t (*count)(FlopsInputs inputs, int64_t factor);
  int64_t factor = 1;
};
/// By names as "mm": without "aten::" and without the "_" of in-place forms.
using FlopsRules = std::unordered_map<std::string_view, FlopsRule>;

/// Element-wise work, reductions, products of matrices, convolutions, pools, norms.
FlopsRules elementary_rules();
/// Decompositions, solves and inverses (counts of Golub and Van Loan, Matrix Computations), and
/// attention in one operator.
FlopsRules composed_rules();

/// Whether an operator does no floating-point arithmetic: it moves, picks, sorts, draws or looks.
bool moves_only(std::string_view name);

}  // namespace assay
