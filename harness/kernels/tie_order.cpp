#include "harness/kernels/tie_order.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <functional>
#include <mutex>
#include <utility>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/delta_merge.h"
#include "harness/kernels/introsort.h"
#include "harness/kernels/loops_delta.h"
#include "harness/kernels/term_rows.h"

namespace assay {
namespace {

constexpr int kHalfBits = 16;
constexpr int64_t kLeastShare = 8;  // not more than one in so many elements is written down twice

/// Of some keys in descending order, the one at the given place, from 1 on; how many are equal to
/// it, and how many of these are at that place or before it.
struct Place {
  uint32_t key;
  int64_t equal, kept;
};
Place find_place(const std::vector<int64_t>& histogram, int64_t place) {
  for (size_t key = histogram.size(); key-- > 0;) {
    if (histogram[key] >= place) return {static_cast<uint32_t>(key), histogram[key], place};
    place -= histogram[key];
  }
  ASSAY_CHECK(false, "{} places too few", place);
}

Place find_place(const std::vector<uint16_t>& keys, int64_t place) {
  std::vector<int64_t> histogram(size_t{1} << kHalfBits);
  for (const uint16_t key : keys) ++histogram[key];
  return find_place(histogram, place);
}

Place find_place(const std::vector<uint32_t>& keys, int64_t place) {
  std::vector<int64_t> histogram(size_t{1} << kHalfBits);
  for (const uint32_t key : keys) ++histogram[key >> kHalfBits];
  const Place high = find_place(histogram, place);
  histogram.assign(histogram.size(), 0);
  for (const uint32_t key : keys)
    if (key >> kHalfBits == high.key) ++histogram[key & 0xffffU];
  Place low = find_place(histogram, high.kept);
  low.key |= high.key << kHalfBits;
  return low;
}

/// Memory that goes from one tensor's order to the next one's: fresh pages cost as much as the
/// sort.
template <typename Key>
class KeyRooms {
 public:
  static KeyRooms& shared() {
    static KeyRooms rooms;
    return rooms;
  }
  std::vector<Key> take(size_t size) {
    const std::lock_guard lock(mutex_);
    const auto larger = [](const auto& a, const auto& b) { return a.capacity() < b.capacity(); };
    std::sort(free_.begin(), free_.end(), larger);
    auto found = std::find_if(free_.begin(), free_.end(),
                              [&](const auto& room) { return room.capacity() >= size; });
    if (found == free_.end() && !free_.empty()) {  // too small, all of them: one is replaced
      free_.pop_back();
      found = free_.end();
    }
    if (found == free_.end()) return std::vector<Key>(size);
    std::vector<Key> room = std::move(*found);
    free_.erase(found);
    room.resize(size);
    return room;
  }
  void give_back(std::vector<Key>&& room) {
    if (room.capacity() == 0) return;
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(room));
  }

 private:
  std::mutex mutex_;
  std::vector<std::vector<Key>> free_;
};

/// Adds keys in [low, high], of which the first of all stands at `place`, and their places; returns
/// how many keys are greater.
template <typename Key>
size_t collect(const Key* keys, size_t size, SampleRange<Key> range, size_t place,
               std::vector<uint64_t>& out) {
  size_t above = 0;
  for (size_t begin = 0; begin < size; begin += kRun) {
    uint64_t marks[kRun / 64];
    const size_t some = std::min<size_t>(kRun, size - begin);
    above += mark_between(keys + begin, some, range.low, range.high, marks);
    for (size_t word = 0; word * 64 < some; ++word)
      for (uint64_t bits = marks[word]; bits != 0; bits &= bits - 1) {
        const size_t at = begin + 64 * word + static_cast<size_t>(std::countr_zero(bits));
        out.push_back(uint64_t{place + at} << 32 | keys[at]);
      }
  }
  return above;
}

void write_keys(const float* deltas, int64_t size, uint16_t* out) {
  high_halves(deltas, size, out);
}
void write_keys(const float* deltas, int64_t size, uint32_t* out) {
  for (int64_t j = 0; j < size; ++j) out[j] = magnitude_bits(deltas[j]);
}

/// Calls `body(begin, size, deltas)` for runs of |delta_element()| of a part, from several threads.
void for_deltas(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                int64_t offset, const std::function<void(int64_t, int64_t, const float*)>& body) {
  ASSAY_CHECK(term.threshold == 0);
  // An order is a host's job: CUDA tensors come over for it.
  const Operands operands(base.cpu(), {expert.cpu()});
  std::vector<DeltaTerm> unweighted{term};
  unweighted[0].weight = 1.0f;
  count_flops(delta_flops(unweighted), operands.count());
  share_blocks(operands.count(), [&](BlockQueue& queue) {
    TermRows rows(operands, unweighted, offset);
    for (Block block; queue.next(block);)
      for_runs(block, [&](int64_t begin, int64_t size) {
        rows.load(begin, size);
        body(begin, size, rows[0]);
      });
  });
}

}  // namespace

TieOrder::TieOrder(int64_t elements, int64_t kept, Storage rounding) : kept_(kept) {
  ASSAY_CHECK(elements < kMostElements);
  const auto size = static_cast<size_t>(elements);
  if (rounding == Storage::kBFloat16)  // the other half is zero
    keys_ = TieKeys<uint16_t>{KeyRooms<uint16_t>::shared().take(size)};
  else
    keys_ = TieKeys<uint32_t>{KeyRooms<uint32_t>::shared().take(size)};
}

TieOrder::~TieOrder() {
  std::visit(
      [](auto& keys) {
        using Key = typename std::decay_t<decltype(keys.magnitudes)>::value_type;
        KeyRooms<Key>::shared().give_back(std::move(keys.magnitudes));
      },
      keys_);
}

void TieOrder::glance(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                      int64_t offset) {
  std::visit(
      [&](auto& keys) {
        auto& sample = keys.sample;
        const size_t before = sample.size();
        sample.resize(before + static_cast<size_t>(base.numel()));
        for_deltas(base, expert, term, offset,
                   [&](int64_t begin, int64_t size, const float* deltas) {
                     write_keys(deltas, size, sample.data() + before + begin);
                   });
      },
      keys_);
}

/// After the last glance.
template <typename Key>
void TieOrder::begin(TieKeys<Key>& keys) const {
  const auto elements = std::ssize(keys.magnitudes);
  keys.near = SampleRange<Key>(keys.sample, elements - kept_ + 1, elements);
  SampleRange<Key>& near = keys.near;
  keys.all_above_zero = near.low == 0;
  near.low = std::max<Key>(near.low, 1);
  near.high = std::max(near.high, near.low);
  const auto hits = std::count_if(keys.sample.begin(), keys.sample.end(),
                                  [&](Key key) { return key >= near.low && key <= near.high; });
  if (hits * kLeastShare <= std::ssize(keys.sample))
    keys.nearby.resize(static_cast<size_t>(num_blocks(elements)));
  keys.sample = {};
}

void TieOrder::feed(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    int64_t offset) {
  std::visit(
      [&](auto& keys) {
        ASSAY_CHECK(offset % 64 == 0 && offset + base.numel() <= std::ssize(keys.magnitudes));
        if (!keys.sample.empty()) begin(keys);
        // Blocks of the part are then not those of the tensor, and threads would share some.
        ASSAY_CHECK(keys.nearby.empty() || offset % kBlock == 0);
        for_deltas(base, expert, term, offset,
                   [&](int64_t begin, int64_t size, const float* deltas) {
                     const auto place = static_cast<size_t>(offset + begin);
                     auto* out = keys.magnitudes.data() + place;
                     write_keys(deltas, size, out);
                     if (keys.nearby.empty()) return;
                     const size_t above = collect(out, static_cast<size_t>(size), keys.near, place,
                                                  keys.nearby[place / kBlock]);
                     std::atomic_ref(keys.above) += static_cast<int64_t>(above);
                   });
      },
      keys_);
}

template <typename Key>
TieOrder::Selection TieOrder::select(TieKeys<Key>& keys) const {
  auto& [magnitudes, sample, near, all_above_zero, nearby, above] = keys;
  int64_t found = 0;
  for (const auto& block : nearby) found += std::ssize(block);
  if (!nearby.empty() && all_above_zero && kept_ > above + found) return {0, true, {}};
  if (kept_ <= above || kept_ > above + found) {  // it is not near
    near.low = near.high = static_cast<Key>(find_place(magnitudes, kept_).key);
    nearby.assign(1, {});
    above = static_cast<int64_t>(
        collect(magnitudes.data(), magnitudes.size(), near, 0, nearby.front()));
  }
  std::vector<Key> candidates;
  candidates.reserve(static_cast<size_t>(found));
  for (const auto& block : nearby)
    for (const uint64_t one : block) candidates.push_back(static_cast<Key>(one));
  const Place place = find_place(candidates, kept_ - above);
  Selection selection;
  selection.bits = sizeof(Key) == sizeof(uint16_t) ? place.key << kHalfBits : place.key;
  // Zeros never count, however many of them are kept.
  selection.all_ties = place.kept == place.equal || place.key == 0;
  if (selection.all_ties) return selection;
  const auto tie = static_cast<Key>(place.key);
  std::vector<uint32_t> places;
  places.reserve(static_cast<size_t>(place.equal));
  for (const auto& block : nearby)
    for (const uint64_t one : block)
      if (static_cast<Key>(one) == tie) places.push_back(static_cast<uint32_t>(one >> 32));
  selection.kept_ties =
      IntrosortTies<Key>(magnitudes, tie, places).among_first(static_cast<size_t>(kept_));
  return selection;
}

TieOrder::Selection TieOrder::select() {
  return std::visit([&](auto& keys) { return select(keys); }, keys_);
}

}  // namespace assay
