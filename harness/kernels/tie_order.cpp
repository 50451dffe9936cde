#include "harness/kernels/tie_order.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
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

/// The same by counting the keys around the place that a sample of them suggests; nothing when it
/// is not there, or the sample cannot tell it from too many others.
std::optional<Place> find_near_sample(const std::vector<uint16_t>& keys, int64_t place) {
  constexpr int64_t kSample = 1 << 16, kRow = 32;
  constexpr int64_t kSpread = 1 << 10;  // eight standard deviations of a sampled rank
  constexpr int64_t kMostKeys = 12;
  const auto size = static_cast<int64_t>(keys.size());
  if (size < 8 * kSample) return {};
  std::vector<int64_t> histogram(size_t{1} << kHalfBits);
  // Of each stretch a row: that many reads from memory, not one per key.
  const int64_t stretch = size / (kSample / kRow);
  for (int64_t begin = 0; begin + stretch <= size; begin += stretch)
    for (int64_t i = 0; i < kRow; ++i) ++histogram[keys[static_cast<size_t>(begin + i)]];
  const int64_t sampled = std::clamp<int64_t>(place * kSample / size, 1, kSample);
  const auto high = find_place(histogram, std::max<int64_t>(sampled - kSpread, 1)).key;
  const auto low = find_place(histogram, std::min(sampled + kSpread, kSample)).key;
  if (high - low >= kMostKeys) return {};

  std::array<int64_t, kMostKeys> equal{};  // low, low + 1, ..., high
  size_t greater = 0, at = 0;
#ifdef ASSAY_PARTITION_VECTORS
  if (has_partition_vectors()) {
    constexpr size_t kChunk = 1 << 13;  // keys whose hits stay in the first cache
    std::vector<uint16_t> inside(kChunk + kVectorKeys);
    for (const size_t end = keys.size() / kVectorKeys * kVectorKeys; at < end;) {
      const size_t some = std::min(kChunk, end - at);
      const size_t found = keys_between(keys.data() + at, some, static_cast<uint16_t>(low),
                                        static_cast<uint16_t>(high), inside.data(), greater);
      for (size_t i = 0; i < found; ++i) ++equal[inside[i] - low];
      at += some;
    }
  }
#endif
  for (; at < keys.size(); ++at) {
    if (keys[at] >= low && keys[at] <= high) ++equal[keys[at] - low];
    greater += keys[at] > high ? 1 : 0;
  }
  auto above = static_cast<int64_t>(greater);
  for (uint32_t key = high + 1; key-- > low;) {
    if (above >= place) return {};
    if (above + equal[key - low] >= place) return Place{key, equal[key - low], place - above};
    above += equal[key - low];
  }
  return {};
}

Place find_place(const std::vector<uint16_t>& keys, int64_t place) {
  if (const auto found = find_near_sample(keys, place)) return *found;
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
    std::vector<Key> room;
    if (!free_.empty()) {
      room = std::move(free_.back());
      free_.pop_back();
    }
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

}  // namespace

TieOrder::TieOrder(int64_t elements, Storage rounding) {
  const auto size = static_cast<size_t>(elements);
  if (rounding == Storage::kBFloat16)  // the other half is zero
    magnitudes_ = KeyRooms<uint16_t>::shared().take(size);
  else
    magnitudes_ = KeyRooms<uint32_t>::shared().take(size);
}

TieOrder::~TieOrder() {
  std::visit(
      [](auto& magnitudes) {
        using Key = typename std::decay_t<decltype(magnitudes)>::value_type;
        KeyRooms<Key>::shared().give_back(std::move(magnitudes));
      },
      magnitudes_);
}

void TieOrder::feed(const at::Tensor& base, const at::Tensor& expert, const DeltaTerm& term,
                    int64_t offset) {
  ASSAY_CHECK(term.threshold == 0);
  // An order is a host's job: CUDA tensors come over for it.
  const Operands operands(base.cpu(), {expert.cpu()});
  std::vector<DeltaTerm> unweighted{term};
  unweighted[0].weight = 1.0f;
  count_flops(delta_flops(unweighted), operands.count());
  std::visit(
      [&](auto& magnitudes) {
        ASSAY_CHECK(offset + operands.count() <= static_cast<int64_t>(magnitudes.size()));
        share_blocks(operands.count(), [&](BlockQueue& queue) {
          TermRows rows(operands, unweighted, offset);
          for (Block block; queue.next(block);)
            for_runs(block, [&](int64_t begin, int64_t size) {
              rows.load(begin, size);
              auto* out = magnitudes.data() + offset + begin;
              if constexpr (sizeof *out == sizeof(uint16_t))
                high_halves(rows[0], size, out);
              else
                for (int64_t j = 0; j < size; ++j) out[j] = magnitude_bits(rows[0][j]);
            });
        });
      },
      magnitudes_);
}

TieOrder::Selection TieOrder::select(int64_t kept) {
  return std::visit(
      [&](auto& magnitudes) {
        using Key = typename std::decay_t<decltype(magnitudes)>::value_type;
        const Place place = find_place(magnitudes, kept);
        Selection selection;
        selection.bits = sizeof(Key) == sizeof(uint16_t) ? place.key << kHalfBits : place.key;
        // Zeros never count, however many of them are kept.
        selection.all_ties = place.kept == place.equal || place.key == 0;
        if (!selection.all_ties)
          selection.kept_ties = IntrosortTies<Key>(magnitudes, static_cast<Key>(place.key))
                                    .among_first(static_cast<size_t>(kept));
        return selection;
      },
      magnitudes_);
}

}  // namespace assay
