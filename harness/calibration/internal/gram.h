/// Sums of outer products, in a stream.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace assay {

/// The sum of x xᵀ over vectors x, which arrive in pieces of any size. The sum is float64. Products
/// are computed in the vectors' dtype, over chunks of kChunkRows vectors counted from the first, so
/// that the pieces' sizes do not matter. Only the blocks on and above the diagonal are computed:
/// n² FLOPs for a vector of n values, and a little more.
class GramSum {
 public:
  static constexpr int64_t kChunkRows = 1024;
  /// Rows and columns of a block, which one thread computes.
  static constexpr int64_t kBlock = 512;

  /// Of vectors of `size` values.
  explicit GramSum(int64_t size) : size_(size) {}

  /// Takes a piece [rows, size]. accumulate() adds it.
  void append(const at::Tensor& rows);
  /// Adds the chunks that are complete; the sums of several are computed concurrently.
  static void accumulate(const std::vector<GramSum*>& sums);
  /// The mean of x xᵀ, float64 [size, size]. Ends the sum.
  at::Tensor mean();

  int64_t rows() const { return rows_; }
  int64_t size() const { return size_; }
  /// What a sum holds, given the bytes of a value of its vectors.
  static int64_t working_bytes(int64_t size, int64_t value_bytes) {
    return size * (size * static_cast<int64_t>(sizeof(double)) + kChunkRows * value_bytes);
  }

 private:
  void add_block(int64_t row, int64_t column);

  int64_t size_;
  int64_t rows_ = 0;
  int64_t pending_rows_ = 0;
  at::Tensor pending_;  ///< [kChunkRows, size], the first pending_rows_ of which are set
  at::Tensor sum_;      ///< float64 [size, size]; blocks below the diagonal are not set
  std::vector<at::Tensor> chunks_;  ///< complete, to be added
};

}  // namespace assay
