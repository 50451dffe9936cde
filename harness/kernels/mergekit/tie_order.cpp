#include "harness/kernels/mergekit/tie_order.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "harness/core/error.h"
#include "harness/kernels/blocks.h"
#include "harness/kernels/mergekit/introsort.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/kernels/task_vector/runs.h"
#include "harness/kernels/task_vector/term_rows.h"

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

/// Calls `body` with one block of keys after the other. Of keys in a scratch file one block stays
/// in memory.
template <typename Key, typename Body>
void for_blocks(const KeyRoom<Key>& room, std::span<const Key> keys, const Body& body) {
  for (size_t begin = 0; begin < keys.size(); begin += kBlock) {
    const size_t size = std::min<size_t>(kBlock, keys.size() - begin);
    body(keys.subspan(begin, size));
    room.release(begin, begin + size);
  }
}

Place find_place(const KeyRoom<uint16_t>& room, std::span<const uint16_t> keys, int64_t place) {
  std::vector<int64_t> histogram(size_t{1} << kHalfBits);
  for_blocks(room, keys, [&](std::span<const uint16_t> block) {
    for (const uint16_t key : block) ++histogram[key];
  });
  return find_place(histogram, place);
}

Place find_place(const KeyRoom<uint32_t>& room, std::span<const uint32_t> keys, int64_t place) {
  std::vector<int64_t> histogram(size_t{1} << kHalfBits);
  for_blocks(room, keys, [&](std::span<const uint32_t> block) {
    for (const uint32_t key : block) ++histogram[key >> kHalfBits];
  });
  const Place high = find_place(histogram, place);
  histogram.assign(histogram.size(), 0);
  for_blocks(room, keys, [&](std::span<const uint32_t> block) {
    for (const uint32_t key : block)
      if (key >> kHalfBits == high.key) ++histogram[key & 0xffffU];
  });
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
  /// At least so large.
  KeyRoom<Key> take(size_t size) {
    const std::lock_guard lock(mutex_);
    const auto larger = [](const auto& a, const auto& b) { return a.size < b.size; };
    std::sort(free_.begin(), free_.end(), larger);
    const auto found = std::find_if(free_.begin(), free_.end(),
                                    [&](const auto& room) { return room.size >= size; });
    if (found == free_.end()) {
      if (!free_.empty()) free_.pop_back();  // too small, all of them: one is replaced
      return {std::make_unique_for_overwrite<Key[]>(size), size};
    }
    KeyRoom<Key> room = std::move(*found);
    free_.erase(found);
    return room;
  }
  void give_back(KeyRoom<Key>&& room) {
    if (!room.keys) return;
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(room));
  }

 private:
  std::mutex mutex_;
  std::vector<KeyRoom<Key>> free_;
};

template <typename Key>
TieKeys<Key> room_for_keys(size_t elements, const std::filesystem::path& scratch) {
  TieKeys<Key> keys{.room = {}, .magnitudes = {}};
  if (scratch.empty())
    keys.room = KeyRooms<Key>::shared().take(elements);
  else
    keys.room.scratch = ScratchMemory(scratch, elements * sizeof(Key));
  keys.magnitudes = {keys.room.data(), elements};
  return keys;
}

/// Writes keys of runs of |delta_element()|. One per thread.
template <typename Key>
class KeyRuns {
 public:
  /// operands: the base, the expert. Keeps references.
  KeyRuns(const Operands& operands, const std::vector<DeltaTerm>& terms, int64_t offset)
      : operands_(operands) {
    const DeltaTerm& term = terms.front();
    const auto brief = [&](int i) { return operands[i].storage == DType::kBFloat16; };
    const bool plain = term.drop == 0 && term.rescale == 1 && brief(0) && brief(1);
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

/// Calls `body(queue, operands, terms)` on several threads for the blocks of a part.
template <typename Body>
void share_part(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                const Body& body) {
  ASSAY_CHECK(term.threshold == 0);
  // An order is a host's job: CUDA tensors come over for it.
  const Operands operands(base.cpu(), {expert.cpu()});
  std::vector<DeltaTerm> unweighted{term};
  unweighted[0].weight = 1.0f;
  count_flops(delta_flops(unweighted), operands.count());
  share_blocks(operands.count(), [&](BlockQueue& queue) { body(queue, operands, unweighted); });
}

}  // namespace

int64_t TieOrder::key_bytes(int64_t elements, DType rounding) {
  return elements *
         static_cast<int64_t>(rounding == DType::kBFloat16 ? sizeof(uint16_t) : sizeof(uint32_t));
}

TieOrder::TieOrder(int64_t elements, int64_t kept, DType rounding,
                   const std::filesystem::path& scratch)
    : kept_(kept) {
  ASSAY_CHECK(elements < kMostElements);
  const auto size = static_cast<size_t>(elements);
  if (rounding == DType::kBFloat16)  // the other half is zero
    keys_ = room_for_keys<uint16_t>(size, scratch);
  else
    keys_ = room_for_keys<uint32_t>(size, scratch);
}

TieOrder::~TieOrder() {
  std::visit(
      [](auto& keys) {
        using Key = typename std::decay_t<decltype(keys)>::Type;
        KeyRooms<Key>::shared().give_back(std::move(keys.room));
      },
      keys_);
}

void TieOrder::glance(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                      int64_t offset) {
  std::visit(
      [&](auto& keys) {
        using Key = typename std::decay_t<decltype(keys)>::Type;
        const size_t before = keys.sample.size();
        keys.sample.resize(before + static_cast<size_t>(base.numel()));
        share_part(base, expert, term,
                   [&](BlockQueue& queue, const Operands& operands, const auto& terms) {
                     KeyRuns<Key> runs(operands, terms, offset);
                     for (Block block; queue.next(block);)
                       for_runs(block, [&](int64_t begin, int64_t size) {
                         runs.write(begin, size, keys.sample.data() + before + begin);
                       });
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
        using Key = typename std::decay_t<decltype(keys)>::Type;
        ASSAY_CHECK(offset % 64 == 0 && offset + base.numel() <= std::ssize(keys.magnitudes));
        if (!keys.sample.empty()) begin(keys);
        // Blocks of the part are then not those of the tensor, and threads would share some.
        ASSAY_CHECK(keys.nearby.empty() || offset % kBlock == 0);
        share_part(base, expert, term,
                   [&](BlockQueue& queue, const Operands& operands, const auto& terms) {
                     KeyRuns<Key> runs(operands, terms, offset);
                     NearFinder<Key> finder(keys.near);
                     for (Block block; queue.next(block);) {
                       for_runs(block, [&](int64_t begin, int64_t size) {
                         Key* out = keys.magnitudes.data() + offset + begin;
                         runs.write(begin, size, out);
                         if (!keys.nearby.empty())
                           finder.take(out, static_cast<size_t>(size),
                                       static_cast<size_t>(begin - block.begin));
                       });
                       if (!keys.nearby.empty())
                         keys.nearby[static_cast<size_t>(offset / kBlock + block.index)] =
                             finder.end_block();
                     }
                     std::atomic_ref(keys.above) += finder.above();
                   });
        keys.room.release(static_cast<size_t>(offset), static_cast<size_t>(offset + base.numel()));
      },
      keys_);
}

template <typename Key>
TieOrder::Selection TieOrder::select(TieKeys<Key>& keys) const {
  auto& [room, magnitudes, sample, near, all_above_zero, nearby, above] = keys;
  int64_t found = 0;
  for (const NearKeys<Key>& block : nearby) found += std::ssize(block.keys);
  if (!nearby.empty() && all_above_zero && kept_ > above + found) return {0, true, {}};
  if (kept_ <= above || kept_ > above + found) {  // it is not near
    near.low = near.high = static_cast<Key>(find_place(room, magnitudes, kept_).key);
    nearby.clear();
    NearFinder<Key> finder(near);
    for_blocks(room, std::span<const Key>(magnitudes), [&](std::span<const Key> block) {
      finder.take(block.data(), block.size(), 0);
      nearby.push_back(finder.end_block());
    });
    above = finder.above();
  }
  std::vector<Key> candidates;
  candidates.reserve(static_cast<size_t>(found));
  for (const NearKeys<Key>& block : nearby)
    candidates.insert(candidates.end(), block.keys.begin(), block.keys.end());
  const Place place = find_place(KeyRoom<Key>{}, candidates, kept_ - above);
  Selection selection;
  selection.bits = sizeof(Key) == sizeof(uint16_t) ? place.key << kHalfBits : place.key;
  // Zeros never count, however many of them are kept.
  selection.all_ties = place.kept == place.equal || place.key == 0;
  if (selection.all_ties) return selection;
  const auto tie = static_cast<Key>(place.key);
  std::vector<uint32_t> places(static_cast<size_t>(place.equal) + 1);
  size_t tied = 0;
  for (size_t block = 0; block < nearby.size(); ++block)
    for (size_t i = 0; i < nearby[block].keys.size(); ++i) {
      places[tied] = static_cast<uint32_t>(block * kBlock) + nearby[block].places[i];
      tied += nearby[block].keys[i] == tie ? 1 : 0;
    }
  places.resize(tied);
  IntrosortTies<Key> sort(magnitudes, tie, places);
  if (room.scratch.data())
    sort.release_with([&keys](size_t begin, size_t end) { keys.room.release(begin, end); });
  selection.kept_ties = sort.among_first(static_cast<size_t>(kept_));
  return selection;
}

TieOrder::Selection TieOrder::select() {
  return std::visit([&](auto& keys) { return select(keys); }, keys_);
}

}  // namespace assay
