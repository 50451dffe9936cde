#include "harness/kernels/kth_magnitude.h"

#include <ATen/ATen.h>

#include <limits>
#include <mutex>
#include <numeric>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/delta_merge.h"
#include "harness/kernels/launch.h"
#include "harness/kernels/loops_delta.h"

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
  if (second_ && exact_) return;
  const Operands operands(base, {expert});
  ASSAY_CHECK(operands.count() <= std::numeric_limits<uint32_t>::max());
  if (!second_) {
    count_ += operands.count();
    exact_ = exact_ && term.rounding == Storage::kBFloat16;
  }
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
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    RunValues values(operands);
    // Magnitudes have no sign bit, hence half the bins in the first pass.
    std::vector<uint32_t> bins(static_cast<size_t>(second_ ? kBins : kBins / 2));
    float deltas[kRun];
    uint16_t halves[kRun];
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        values.load(begin, size);
        delta_run(values[1], values[0], term, offset + begin, size, deltas);
        int64_t counted = size;
        if (second_)
          counted = low_halves(deltas, size, high_, halves);
        else
          high_halves(deltas, size, halves);
        for (int64_t j = 0; j < counted; ++j) ++bins[halves[j]];
      });
    const std::lock_guard lock(mutex);
    for (size_t bin = 0; bin < bins.size(); ++bin) histogram_[bin] += bins[bin];
  });
}

void KthMagnitude::start_second_pass(int64_t rank) {
  ASSAY_CHECK(!second_ && rank >= 1 && rank <= count_, "rank {} of {}", rank, count_);
  high_ = find_bin(histogram_, rank, below_high_);
  rank_ = rank - below_high_;
  second_ = true;
  if (!exact_) histogram_.assign(kBins, 0);
}

uint32_t KthMagnitude::low() const {
  if (exact_) return 0;
  int64_t below = 0;
  return find_bin(histogram_, rank_, below);
}

int64_t KthMagnitude::equal() const { return histogram_[exact_ ? high_ : low()]; }

int64_t KthMagnitude::below() const {
  return below_high_ + std::accumulate(histogram_.begin(), histogram_.begin() + low(), int64_t{0});
}

TieEnd find_tie_end(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    uint32_t bits, int64_t ties, int64_t offset) {
  // An order is a host's job: CUDA tensors come over for it.
  const Operands operands(base.cpu(), {expert.cpu()});
  std::vector<int64_t> counts(static_cast<size_t>(num_blocks(operands.count())));
  const auto deltas_of = [&](RunValues& values, int64_t begin, int64_t size, float* deltas) {
    values.load(begin, size);
    delta_run(values[1], values[0], term, offset + begin, size, deltas);
  };
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    RunValues values(operands);
    float deltas[kRun];
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        deltas_of(values, begin, size, deltas);
        counts[static_cast<size_t>(block.index)] += count_magnitude(deltas, size, bits);
      });
  });
  int64_t found = 0, begin = 0;
  for (const int64_t count : counts) {
    if (found + count > ties) break;
    found += count;
    begin += kBlock;
  }
  RunValues values(operands);
  float deltas[kRun];
  for (; begin < operands.count(); begin += kRun) {
    const int64_t size = std::min(kRun, operands.count() - begin);
    deltas_of(values, begin, size, deltas);
    for (int64_t j = 0; j < size; ++j) {
      if (magnitude_bits(deltas[j]) != bits) continue;
      if (found == ties) return {offset + begin + j, found};
      ++found;
    }
  }
  return {std::numeric_limits<int64_t>::max(), found};
}

}  // namespace assay
