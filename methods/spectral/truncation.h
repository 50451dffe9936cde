/// How many singular components of each task vector TSV and its successors keep.
#pragma once

#include <algorithm>

#include "harness/core/error.h"
#include "harness/method/method.h"

namespace assay {

struct Truncation {
  double rank = 0;

  void parameters(auto&& p) {
    p(rank, {.name = "rank",
             .range = {0, 1},
             .help = "share of the singular components of each task vector that is kept; 0: 1 / "
                     "number of experts (the paper)"});
  }
  /// Of a matrix with so many singular values. UserError where none would be left.
  int64_t kept(int64_t rank_of_matrix, size_t experts, const std::string& tensor) const {
    if (rank > 0)
      return std::max<int64_t>(1, static_cast<int64_t>(rank * static_cast<double>(rank_of_matrix)));
    const int64_t share = rank_of_matrix / static_cast<int64_t>(experts);
    if (share == 0)
      user_error(
          "'{}' has {} singular value{}, too few to divide among {} experts: give 'rank' a share "
          "above 0, or add the tensor to 'exclude'",
          tensor, rank_of_matrix, rank_of_matrix == 1 ? "" : "s", experts);
    return share;
  }
  int64_t kept(const at::Tensor& matrix, const TensorJob& job) const {
    return kept(std::min(matrix.size(0), matrix.size(1)), job.experts.size(), job.name);
  }
};

}  // namespace assay
