#include "harness/calibration/internal/gram.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/kernels/parallel.h"

namespace assay {

void GramSum::append(const at::Tensor& rows) {
  ASSAY_CHECK(rows.dim() == 2 && rows.size(1) == size_, "vectors of {} values for a sum of {}",
              rows.size(-1), size_);
  if (!sum_.defined()) sum_ = at::zeros({size_, size_}, rows.options().dtype(at::kDouble));
  rows_ += rows.size(0);
  for (int64_t taken = 0; taken < rows.size(0);) {
    const int64_t count = std::min(kChunkRows - pending_rows_, rows.size(0) - taken);
    const at::Tensor piece = rows.narrow(0, taken, count);
    taken += count;
    if (count == kChunkRows) {
      chunks_.push_back(piece);
      continue;
    }
    if (!pending_.defined()) pending_ = at::empty({kChunkRows, size_}, rows.options());
    pending_.narrow(0, pending_rows_, count).copy_(piece);
    pending_rows_ += count;
    if (pending_rows_ < kChunkRows) continue;
    chunks_.push_back(std::move(pending_));
    pending_ = at::Tensor();
    pending_rows_ = 0;
  }
}

void GramSum::add_block(int64_t row, int64_t column) {
  const auto width = [&](int64_t first) { return std::min(kBlock, size_ - first); };
  at::Tensor block = sum_.narrow(0, row, width(row)).narrow(1, column, width(column));
  for (const at::Tensor& chunk : chunks_)
    block.add_(
        at::mm(chunk.narrow(1, row, width(row)).t(), chunk.narrow(1, column, width(column))));
}

void GramSum::accumulate(const std::vector<GramSum*>& sums) {
  struct Block {
    GramSum* sum;
    int64_t row, column;
  };
  std::vector<Block> blocks;
  for (GramSum* sum : sums)
    if (!sum->chunks_.empty())
      for (int64_t row = 0; row < sum->size_; row += kBlock)
        for (int64_t column = row; column < sum->size_; column += kBlock)
          blocks.push_back({sum, row, column});
  concurrently(static_cast<int64_t>(blocks.size()), [&](int64_t i) {
    const Block& block = blocks[static_cast<size_t>(i)];
    block.sum->add_block(block.row, block.column);
  });
  for (GramSum* sum : sums) sum->chunks_.clear();
}

at::Tensor GramSum::mean() {
  if (pending_rows_ > 0) chunks_.push_back(pending_.narrow(0, 0, pending_rows_));
  pending_ = at::Tensor();
  pending_rows_ = 0;
  accumulate({this});
  ASSAY_CHECK(rows_ > 0, "the mean of no vectors");
  at::Tensor result = std::move(sum_).div_(static_cast<double>(rows_));
  sum_ = at::Tensor();
  const auto block = [&](int64_t row, int64_t column) {
    return result.narrow(0, row, std::min(kBlock, size_ - row))
        .narrow(1, column, std::min(kBlock, size_ - column));
  };
  for (int64_t row = 0; row < size_; row += kBlock) {
    const at::Tensor upper = block(row, row).triu(1);
    block(row, row).triu_().add_(upper.t());
    for (int64_t column = row + kBlock; column < size_; column += kBlock)
      block(column, row).copy_(block(row, column).t());
  }
  return result;
}

}  // namespace assay
