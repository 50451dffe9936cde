#include "harness/kernels/select/kth_magnitude.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>

#include "harness/core/error.h"
#include "harness/core/thread_pool.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/internal/launch.h"
#include "harness/kernels/select/sample_range.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/term_rows.h"

namespace assay {
namespace {

constexpr int64_t kSample = 1 << 18;   ///< about so many elements, in runs
constexpr int64_t kSampleRun = 128;    ///< elements
constexpr int64_t kRunsOfThread = 4;   ///< fewer, and a thread more is not worth it
constexpr int64_t kWorthSampling = 8;  ///< times the sample
constexpr uint32_t kMostBins = 1 << 20;
constexpr uint32_t kOwnBins = 1 << 15;  ///< so many, and each thread counts for itself,
constexpr int64_t kWorthBins = 8;       ///< if there are so many times as many elements

std::vector<DeltaTerm> unweighted(std::vector<DeltaTerm> terms) {
  for (DeltaTerm& term : terms) term.weight = 1.0f;
  return terms;
}

}  // namespace

KthMagnitude::KthMagnitude(const std::vector<int64_t>& ranks, int64_t count)
    : count_(count), sampling_(count >= kWorthSampling * kSample) {
  for (const int64_t rank : ranks) {
    ASSAY_CHECK(rank >= 1 && rank <= count, "rank {} of {}", rank, count);
    begin(searches_.emplace_back(Search{.rank = rank}), 0, MagnitudeRange{}.span);
  }
}

void KthMagnitude::begin(Search& search, uint32_t low, uint32_t span) const {
  const MagnitudeRange whole;
  search.range = {low, span, span == whole.span ? whole.shift : 0};
  while (search.range.bins() > kMostBins) ++search.range.shift;
  search.likely = kNone;
  search.below = search.equal = 0;
  search.histogram.assign(search.range.bins(), 0);
}

void KthMagnitude::feed(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                        const std::vector<DeltaTerm>& terms, int64_t offset) {
  ASSAY_CHECK(experts.size() == searches_.size() && terms.size() == searches_.size());
  for (const DeltaTerm& term : terms) ASSAY_CHECK(term.threshold == 0);
  // On an accelerator counting costs no more than bringing the tensors there.
  if (!base.is_cpu()) sampling_ = false;
  if (sampling_) return take_sample(base, experts, terms, offset);
  std::vector<size_t> searched;
  std::vector<at::Tensor> tensors{base};
  std::vector<DeltaTerm> used;
  for (size_t i = 0; i < searches_.size(); ++i) {
    if (searches_[i].done) continue;
    searched.push_back(i);
    tensors.push_back(experts[i]);
    used.push_back(terms[i]);
  }
  used = unweighted(std::move(used));
  note_rounding(terms);
  const Operands operands(tensors);
  count_flops(delta_flops(used), operands.count());
  if (operands.on_cuda()) {
    for (size_t k = 0; k < searched.size(); ++k)
      count_on_cuda(base, experts[searched[k]], used[k], offset, searches_[searched[k]]);
    return;
  }
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    TermRows rows(operands, used, offset);
    std::vector<std::vector<int64_t>> own(searched.size());
    std::vector<std::vector<uint32_t>> hits(searched.size());
    std::vector<RangeHits> run(searched.size());
    for (size_t k = 0; k < searched.size(); ++k) {
      run[k].range = searches_[searched[k]].range;
      run[k].likely = searches_[searched[k]].likely;
      const uint32_t bins = run[k].range.bins();
      if (bins <= kOwnBins && bins * kWorthBins <= operands.count()) own[k].resize(bins);
    }
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        rows.load(begin, size);
        for (size_t k = 0; k < run.size(); ++k) {
          bins_in_range(rows[k], size, run[k]);
          const uint32_t* bins = run[k].bins;
          if (own[k].empty())  // mostly few
            hits[k].insert(hits[k].end(), bins, bins + run[k].found);
          else
            for (int64_t j = 0; j < run[k].found; ++j) ++own[k][bins[j]];
          run[k].found = 0;
        }
      });
    const std::lock_guard lock(mutex_);
    for (size_t k = 0; k < searched.size(); ++k) {
      Search& search = searches_[searched[k]];
      search.below += run[k].below;
      search.equal += run[k].equal;
      for (size_t bin = 0; bin < own[k].size(); ++bin) search.histogram[bin] += own[k][bin];
      for (const uint32_t bin : hits[k]) ++search.histogram[bin];
    }
  });
}

void KthMagnitude::count_on_cuda(const at::Tensor& base, const at::Tensor& expert,
                                 const DeltaTerm& term, int64_t offset, Search& search) const {
  if constexpr (kCudaKernels) {
    const Operands operands(base, {expert});
    const auto bins = static_cast<int64_t>(search.range.bins());
    at::Tensor counts = at::zeros({bins + 1}, at::device(operands.device()).dtype(at::kLong));
    const CudaLaunch launch(operands.device());
    cuda::magnitude_histogram(
        operands[0], operands[1], term, offset, operands.count(), search.range,
        static_cast<unsigned long long*>(counts.mutable_data_ptr()), launch.stream());
    counts = counts.cpu();
    const int64_t* counted = counts.const_data_ptr<int64_t>();
    for (int64_t bin = 0; bin < bins; ++bin)
      search.histogram[static_cast<size_t>(bin)] += counted[bin];
    search.below += counted[bins];
  }
}

void KthMagnitude::take_sample(const at::Tensor& base, const std::vector<at::Tensor>& experts,
                               const std::vector<DeltaTerm>& terms, int64_t offset) {
  const Operands operands(base, experts);
  const std::vector<DeltaTerm> used = unweighted(terms);
  const int64_t stride = kSampleRun * std::max<int64_t>(count_ / kSample, 1);
  const int64_t runs = (operands.count() + stride - 1) / stride;
  if (runs == 0) return;
  const int64_t sampled =
      (runs - 1) * kSampleRun + std::min(kSampleRun, operands.count() - (runs - 1) * stride);
  note_rounding(terms);
  std::vector<std::vector<uint16_t>> samples(searches_.size());
  for (std::vector<uint16_t>& sample : samples) sample.resize(static_cast<size_t>(sampled));
  count_flops(delta_flops(used), sampled);
  const auto threads = std::min<int64_t>(at::get_num_threads(), runs / kRunsOfThread + 1);
  ThreadPool::shared().run(threads, runs, [&](IndexQueue& indices) {
    float start[kSampleRun], deltas[kSampleRun];
    uint32_t keep_threshold[kSampleRun];
    while (const auto run = indices.next()) {
      const int64_t first = *run * stride, size = std::min(kSampleRun, operands.count() - first);
      load_run(operands[0], first, size, start);
      for (size_t i = 0; i < searches_.size(); ++i) {
        keep_threshold_run(used[i], offset + first, size, keep_threshold);
        term_run(operands[static_cast<int>(i) + 1], first, start, used[i], keep_threshold, size,
                 deltas);
        upper16_run(deltas, size, samples[i].data() + *run * kSampleRun);
      }
    }
  });
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < searches_.size(); ++i)
    searches_[i].sample.insert(searches_[i].sample.end(), samples[i].begin(), samples[i].end());
}

void KthMagnitude::note_rounding(const std::vector<DeltaTerm>& terms) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < searches_.size(); ++i)
    searches_[i].rounded &= terms[i].rounding == DType::kBFloat16;
}

bool KthMagnitude::next() {
  const auto count = std::ssize(searches_);
  ThreadPool::shared().run(at::get_num_threads(), count, [&](IndexQueue& indices) {
    while (const auto i = indices.next()) {
      Search& search = searches_[static_cast<size_t>(*i)];
      if (search.done) continue;
      if (sampling_)
        guess(search);
      else
        narrow(search);
    }
  });
  sampling_ = false;
  return !std::all_of(searches_.begin(), searches_.end(), [](const Search& s) { return s.done; });
}

/// Begins where the sample expects the rank.
void KthMagnitude::guess(Search& search) const {
  std::vector<uint16_t> sample = std::move(search.sample);
  search.sample.clear();
  if (sample.empty()) return;
  const SampleRange<uint16_t> guessed(sample, search.rank, count_);
  const auto bits = [](uint32_t upper16) { return upper16 << 16; };
  const uint32_t low = bits(guessed.low);
  begin(search, low, bits(std::min<uint32_t>(guessed.high, 0x7fff) + 1) - low);
  search.likely = std::max(bits(guessed.likely), low);
  if (search.rounded) {
    search.range.shift = std::max(search.range.shift, 16);
    search.histogram.assign(search.range.bins(), 0);
  }
}

/// Goes on with the bin that holds the rank, or with what lies outside the range.
void KthMagnitude::narrow(Search& search) const {
  const MagnitudeRange range = search.range;
  int64_t below = search.below;
  if (search.equal > 0) search.histogram[range.bin(search.likely)] += search.equal;
  if (below >= search.rank) return begin(search, 0, range.low);
  for (size_t bin = 0; bin < search.histogram.size(); ++bin) {
    const int64_t inside = search.histogram[bin];
    if (below + inside < search.rank) {
      below += inside;
      continue;
    }
    const uint32_t low = range.low + (static_cast<uint32_t>(bin) << range.shift);
    search.done = range.shift == 0 || (range.shift <= 16 && search.rounded);
    search.found = {low, inside, below};
    if (!search.done) begin(search, low, uint32_t{1} << range.shift);
    return;
  }
  const uint32_t high = range.low + range.span, whole = MagnitudeRange{}.span;
  ASSAY_CHECK(high < whole, "rank {} among {} elements", search.rank, below);
  begin(search, high, whole - high);
}

TieEnd find_tie_end(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    uint32_t bits, int64_t ties, int64_t offset) {
  ASSAY_CHECK(term.threshold == 0);
  // An order is a host's job: CUDA tensors come over for it.
  const Operands operands(base.cpu(), {expert.cpu()});
  const std::vector<DeltaTerm> used = unweighted({term});
  count_flops(delta_flops(used), operands.count());
  TermRows rows(operands, used, offset);
  int64_t found = 0;
  for (int64_t begin = 0; begin < operands.count(); begin += kRun) {
    const int64_t size = std::min(kRun, operands.count() - begin);
    rows.load(begin, size);
    for (int64_t j = 0; j < size; ++j) {
      if (magnitude_bits(rows[0][j]) != bits) continue;
      if (found == ties) return {offset + begin + j, found};
      ++found;
    }
  }
  return {std::numeric_limits<int64_t>::max(), found};
}

}  // namespace assay
