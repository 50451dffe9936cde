#include "harness/kernels/kth_magnitude.h"

#include <ATen/ATen.h>

#include <mutex>
#include <numeric>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/delta_block.h"
#include "harness/kernels/delta_merge.h"
#include "harness/kernels/launch.h"

namespace assay {
namespace {

/// The bin that holds the `rank`-th smallest, 1-based; `below` gets what lies in the bins before
/// it.
uint32_t find_bin(const std::vector<int64_t>& histogram, int64_t rank, int64_t& below) {
  below = 0;
  for (size_t bin = 0; bin < histogram.size(); ++bin) {
    if (below + histogram[bin] >= rank) return static_cast<uint32_t>(bin);
    below += histogram[bin];
  }
  ASSAY_CHECK(false, "rank {} among {} elements", rank, below);
}

}  // namespace

void KthMagnitude::feed(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                        int64_t offset) {
  ASSAY_CHECK(term.threshold == 0 && offset % 4 == 0);
  const Operands operands(base, {expert});
  if (!second_) count_ += operands.count();
  DeltaTerm unweighted = term;
  unweighted.weight = 1.0f;
  count_flops(delta_flops({unweighted}), operands.count());
  if constexpr (kCudaKernels)
    if (operands.on_cuda()) {
      at::Tensor bins = at::zeros({kBins}, at::device(operands.device()).dtype(at::kLong));
      const CudaLaunch launch(operands.device());
      cuda::magnitude_histogram(operands[0], operands[1], term, offset, operands.count(), second_,
                                high_, static_cast<unsigned long long*>(bins.mutable_data_ptr()),
                                launch.stream());
      bins = bins.cpu();
      const int64_t* counts = bins.const_data_ptr<int64_t>();
      for (size_t bin = 0; bin < kBins; ++bin) histogram_[bin] += counts[bin];
      return;
    }
  std::mutex mutex;
  split_blocks(num_blocks(operands.count()), [&](int64_t first, int64_t last) {
    std::vector<int64_t> bins(kBins);
    std::vector<float> deltas(static_cast<size_t>(kBlock));
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kBlock, end = std::min(operands.count(), begin + kBlock);
      const BlockValues values(operands, begin, end);
      delta_block(values[1], values[0], term, offset + begin, end - begin, deltas.data());
      for (int64_t j = 0; j < end - begin; ++j) {
        const uint32_t bits = magnitude_bits(deltas[static_cast<size_t>(j)]);
        const int bin = magnitude_bin(bits, second_, high_);
        if (bin >= 0) ++bins[static_cast<size_t>(bin)];
      }
    }
    const std::lock_guard lock(mutex);
    for (size_t bin = 0; bin < kBins; ++bin) histogram_[bin] += bins[bin];
  });
}

void KthMagnitude::start_second_pass(int64_t rank) {
  ASSAY_CHECK(!second_ && rank >= 1 && rank <= count_, "rank {} of {}", rank, count_);
  high_ = find_bin(histogram_, rank, below_high_);
  rank_ = rank - below_high_;
  histogram_.assign(kBins, 0);
  second_ = true;
}

uint32_t KthMagnitude::low() const {
  int64_t below = 0;
  return find_bin(histogram_, rank_, below);
}

int64_t KthMagnitude::below() const {
  return below_high_ + std::accumulate(histogram_.begin(), histogram_.begin() + low(), int64_t{0});
}

TieEnd find_tie_end(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    uint32_t bits, int64_t ties, int64_t offset) {
  // Ties in number are rare, and an order is a host's job: CUDA tensors come over for it.
  const Operands operands(base.cpu(), {expert.cpu()});
  std::vector<float> deltas(static_cast<size_t>(kBlock));
  int64_t found = 0;
  for (int64_t begin = 0; begin < operands.count(); begin += kBlock) {
    const int64_t end = std::min(operands.count(), begin + kBlock);
    const BlockValues values(operands, begin, end);
    delta_block(values[1], values[0], term, offset + begin, end - begin, deltas.data());
    for (int64_t j = begin; j < end; ++j) {
      if (magnitude_bits(deltas[static_cast<size_t>(j - begin)]) != bits) continue;
      if (found == ties) return {offset + j, found};
      ++found;
    }
  }
  return {std::numeric_limits<int64_t>::max(), found};
}

}  // namespace assay
