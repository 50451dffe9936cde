#include "harness/kernels/mergekit/tie_order.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/mergekit/introsort.h"
#include "harness/kernels/mergekit/near_keys.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/runs.h"
#include "harness/kernels/task_vector/term_rows.h"

namespace assay {
namespace {

constexpr size_t kSamples = 128, kSampled = 256;  // so many times so many keys

/// Keeps buffers for the next tensor's keys: fresh pages cost as much as the sort.
template <typename Key>
class KeyBuffers {
 public:
  static KeyBuffers& shared() {
    static KeyBuffers buffers;
    return buffers;
  }
  /// For so many keys, or more.
  KeyBuffer<Key> take(size_t size) {
    const std::lock_guard lock(mutex_);
    KeyBuffer<Key> buffer;
    if (!free_.empty()) {
      buffer = std::move(free_.back());
      free_.pop_back();
    }
    if (buffer.size >= size) return buffer;
    buffer = {};  // before there is a larger one
    return {std::make_unique_for_overwrite<Key[]>(size), size};
  }
  void give_back(KeyBuffer<Key>&& buffer) {
    if (!buffer.keys) return;
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(buffer));
  }

 private:
  std::mutex mutex_;
  std::vector<KeyBuffer<Key>> free_;
};

template <typename Key>
KeyBuffer<Key> buffer_for(size_t elements, const std::filesystem::path& scratch) {
  if (scratch.empty()) return KeyBuffers<Key>::shared().take(elements);
  return {.scratch = ScratchMemory(scratch, elements * sizeof(Key))};
}

/// Writes keys of runs of |delta_element()|. One per thread.
template <typename Key>
class KeyRuns {
 public:
  /// operands: the base, the expert. Keeps references.
  KeyRuns(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset)
      : operands_(operands) {
    const DeltaTerm& term = terms.front();
    const auto bf16 = [&](int i) { return operands[i].storage == DType::kBFloat16; };
    const bool plain = term.drop == 0 && term.rescale == 1 && bf16(0) && bf16(1);
    if (!plain || sizeof(Key) != sizeof(uint16_t)) rows_.emplace(operands, terms, offset);
  }
  void write(int64_t begin, int64_t size, Key* out) {
    if (rows_) rows_->load(begin, size);
    if constexpr (sizeof(Key) == sizeof(uint16_t)) {
      if (rows_)
        upper16_run((*rows_)[0], size, out);
      else
        delta_upper16_run(operands_[0].data, operands_[1].data, begin, size, out);
    } else {
      for (int64_t j = 0; j < size; ++j) out[j] = magnitude_bits((*rows_)[0][j]);
    }
  }

 private:
  const Operands& operands_;
  std::optional<TermRows> rows_;
};

/// Calls `body(keys, begin)` with one block of keys after the other. Of keys in a scratch file one
/// block stays in memory.
template <typename Key, typename Body>
void for_blocks(const KeyBuffer<Key>& buffer, size_t elements, const Body& body) {
  for (size_t begin = 0; begin < elements; begin += kBlock) {
    const size_t size = std::min<size_t>(kBlock, elements - begin);
    body(std::span<const Key>(buffer.data() + begin, size), begin);
    buffer.release(begin, begin + size);
  }
}

/// Where the key at `place` in rising order is expected, zeros left out. A bad guess costs time,
/// nothing else.
template <typename Key>
SampleRange<Key> sampled_range(const KeyBuffer<Key>& buffer, size_t elements, int64_t place) {
  std::vector<Key> sample;
  const size_t step = std::max(elements / kSamples, kSampled);
  for (size_t begin = 0; begin < elements; begin += step) {
    const size_t end = std::min(begin + kSampled, elements);
    sample.insert(sample.end(), buffer.data() + begin, buffer.data() + end);
    buffer.release(0, end);  // a touch may map 2 MiB of a file
  }
  SampleRange<Key> range(sample, place, static_cast<int64_t>(elements));
  range.low = std::max<Key>(range.low, 1);
  range.high = std::max(range.high, range.low);
  return range;
}

template <typename Key>
NearKeys<Key> near_keys(const KeyBuffer<Key>& buffer, size_t elements,
                        const SampleRange<Key>& range) {
  NearKeys<Key> near;
  for_blocks(buffer, elements,
             [&](std::span<const Key> keys, size_t begin) { near.add(keys, begin, range); });
  return near;
}

/// The key at `place`, from 1 on, in descending order: a radix select by 16 bits.
template <typename Key>
Key key_at(const KeyBuffer<Key>& buffer, size_t elements, int64_t place) {
  constexpr int kBits = 16;
  uint64_t found = 0;  // the bits above those that are counted
  for (int shift = 8 * sizeof(Key) - kBits; shift >= 0; shift -= kBits) {
    std::vector<int64_t> histogram(size_t{1} << kBits);
    for_blocks(buffer, elements, [&](std::span<const Key> keys, size_t) {
      for (const uint64_t key : keys)
        if (key >> shift >> kBits == found) ++histogram[key >> shift & 0xffffU];
    });
    size_t bin = histogram.size() - 1;
    for (; histogram[bin] < place; --bin) place -= histogram[bin];
    found = found << kBits | bin;
  }
  return static_cast<Key>(found);
}

/// The key at `place`, from 1 on, in descending order, and whether no equal one comes after it.
std::pair<uint16_t, bool> last_kept(const std::vector<uint16_t>& keys, int64_t place) {
  std::vector<int64_t> histogram(size_t{1} << 16);
  for (const uint16_t key : keys) ++histogram[key];
  size_t key = histogram.size() - 1;
  for (; histogram[key] < place; --key) place -= histogram[key];
  return {static_cast<uint16_t>(key), histogram[key] == place};
}
std::pair<uint32_t, bool> last_kept(std::vector<uint32_t> keys, int64_t place) {
  const auto last = keys.begin() + (place - 1);
  std::nth_element(keys.begin(), last, keys.end(), std::greater<>());
  return {*last, std::find(last + 1, keys.end(), *last) == keys.end()};
}

}  // namespace

int64_t TieOrder::key_bytes(int64_t elements, DType rounding) {
  return elements *
         static_cast<int64_t>(rounding == DType::kBFloat16 ? sizeof(uint16_t) : sizeof(uint32_t));
}

TieOrder::TieOrder(int64_t elements, int64_t kept, DType rounding,
                   const std::filesystem::path& scratch)
    : elements_(elements), kept_(kept) {
  ASSAY_CHECK(elements < kMostElements);
  const auto size = static_cast<size_t>(elements);
  if (rounding == DType::kBFloat16)  // the lower 16 bits are zero
    keys_ = buffer_for<uint16_t>(size, scratch);
  else
    keys_ = buffer_for<uint32_t>(size, scratch);
}

TieOrder::~TieOrder() {
  std::visit([]<typename Key>(
                 KeyBuffer<Key>& keys) { KeyBuffers<Key>::shared().give_back(std::move(keys)); },
             keys_);
}

void TieOrder::feed(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    int64_t offset) {
  ASSAY_CHECK(term.threshold == 0 && offset % 64 == 0 && offset + base.numel() <= elements_);
  // An order is a host's job: CUDA tensors are copied to it.
  const Operands operands(base.cpu(), {expert.cpu()});
  std::vector<DeltaTerm> terms{term};
  terms[0].weight = 1.0f;
  count_flops(delta_flops(terms), operands.count());
  const auto write = [&]<typename Key>(const KeyBuffer<Key>& keys) {
    share_blocks(operands.count(), [&](BlockQueue& queue) {
      KeyRuns<Key> runs(operands, terms, offset);
      for (Block block; queue.next(block);)
        for_runs(block, [&](int64_t begin, int64_t size) {
          runs.write(begin, size, keys.data() + offset + begin);
        });
    });
    keys.release(static_cast<size_t>(offset), static_cast<size_t>(offset + base.numel()));
  };
  std::visit(write, keys_);
}

template <typename Key>
TieOrder::Selection TieOrder::select(const KeyBuffer<Key>& buffer) const {
  const auto elements = static_cast<size_t>(elements_);
  SampleRange<Key> range = sampled_range(buffer, elements, elements_ - kept_ + 1);
  NearKeys<Key> near = near_keys(buffer, elements, range);
  if (range.low == 1 && kept_ > near.above + std::ssize(near.keys)) return {0, true, {}};
  if (kept_ <= near.above || kept_ > near.above + std::ssize(near.keys)) {
    near = {};
    range.low = range.high = key_at(buffer, elements, kept_);
    if (range.low == 0) return {0, true, {}};
    near = near_keys(buffer, elements, range);
  }
  const auto [tie, all_ties] = last_kept(near.keys, kept_ - near.above);
  const int shift = 32 - 8 * static_cast<int>(sizeof(Key));
  Selection selection{.bits = uint32_t{tie} << shift, .all_ties = all_ties};
  if (all_ties) return selection;
  std::vector<uint32_t> places;
  for (size_t i = 0; i < near.keys.size(); ++i)
    if (near.keys[i] == tie) places.push_back(near.places[i]);
  near = {};
  IntrosortTies<Key> sort({buffer.data(), elements}, tie, places);
  if (buffer.scratch.data())
    sort.release_with([&buffer](size_t begin, size_t end) { buffer.release(begin, end); });
  selection.keep_mask = sort.among_first(static_cast<size_t>(kept_));
  return selection;
}

TieOrder::Selection TieOrder::select() {
  return std::visit([&](const auto& keys) { return select(keys); }, keys_);
}

}  // namespace assay
