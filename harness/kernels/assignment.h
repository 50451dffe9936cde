/// Linear sum assignment: which column each row of a square matrix is matched to, so that the sum
/// of the matched entries is the largest or the smallest.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

enum class Assign { kMinimize, kMaximize };

/// The column of each row, by shortest augmenting paths in float64: D. F. Crouse, "On implementing
/// 2D rectangular assignment algorithms", IEEE TAES 52(4), 2016. Exact up to rounding, O(n^3), on
/// one thread; ties are broken by index, and a constant matrix gives the identity. `scores`: [n,
/// n], of any floating dtype and device. DataError, which names `what`, on NaN and on infinity.
std::vector<int64_t> assign(const at::Tensor& scores, Assign goal, const std::string& what);

}  // namespace assay
