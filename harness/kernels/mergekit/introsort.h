/// libstdc++'s introsort, in descending order, followed only into the parts that hold one position.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "harness/kernels/mergekit/partition.h"

namespace assay {

/// Where elements of one key, the tie, move while introsort runs over `keys`, fewer than 2^32.
template <typename Key>
class IntrosortTies {
 public:
  /// `places`: where the ties stand, in rising order.
  IntrosortTies(std::span<Key> keys, Key tie, const std::vector<uint32_t>& places)
      : keys_(keys.data()), size_(keys.size()), tie_(tie), kept_((keys.size() + 63) / 64) {
    ties_.reserve(places.size());
    for (const uint32_t place : places) ties_.push_back(make(place, place));
    ties_end_ = ties_.end();
    merged_.resize(ties_.size());
    moved_.to_left.reserve(ties_.size());
    moved_.to_right.reserve(ties_.size());
  }

  /// For keys in a scratch file, of which a window stays in memory: partitions call this with the
  /// places that they have passed.
  void release_with(std::function<void(size_t begin, size_t end)> release) {
    release_ = std::move(release);
  }

  /// The ties that the sort puts among the first `kept`: bits set by their places before the sort,
  /// 64 places a word.
  std::vector<uint64_t> among_first(size_t kept) {
    size_t first = 0, last = size_;
    int depth = 2 * (std::bit_width(std::max<size_t>(size_, 1)) - 1);
    while (last - first > kInsertion && depth > 0) {
      --depth;
      median_to_first(first, last);
      const size_t cut = partition(first, last);
      if (kept < cut) {
        last = cut;
        go_left(cut);
        continue;
      }
      keep_left(cut);
      first = cut;
      if (kept == cut) break;
      go_right(cut);
    }
    if (kept > first) sort_rest(first, last, kept - first, depth);
    return std::move(kept_);
  }

 private:
  static constexpr size_t kInsertion = 16;  // libstdc++'s _S_threshold

  // A tie's place now in the upper half, the one before the sort in the lower: as numbers they are
  // in the order of their places.
  using Tie = uint64_t;
  static Tie make(size_t place, size_t origin) { return uint64_t{place} << 32 | origin; }
  static size_t place_of(Tie tie) { return tie >> 32; }
  static size_t origin_of(Tie tie) { return tie & 0xffffffffU; }

  // The median of the second, middle and last element comes first, in its place the first.
  void median_to_first(size_t first, size_t last) {
    const size_t a = first + 1, b = first + (last - first) / 2, c = last - 1;
    const auto before = [&](size_t x, size_t y) { return keys_[x] > keys_[y]; };
    size_t median = 0;
    if (before(a, b))
      median = before(b, c) ? b : before(a, c) ? c : a;
    else
      median = before(a, c) ? a : before(b, c) ? c : b;
    if (keys_[first] != tie_ && keys_[median] != tie_)
      return std::swap(keys_[first], keys_[median]);
    if (keys_[first] == keys_[median]) {  // both: they change places
      const auto one = at(first), other = at(median);
      const size_t origin = origin_of(*one);
      *one = make(first, origin_of(*other));
      *other = make(median, origin);
    } else if (keys_[first] == tie_) {
      const auto tie = at(first);
      *tie = make(median, origin_of(*tie));
      std::rotate(tie, tie + 1, std::upper_bound(tie + 1, ties_end_, *tie));
    } else {
      const auto tie = at(median);
      *tie = make(first, origin_of(*tie));
      std::rotate(std::upper_bound(ties_.begin(), tie, *tie), tie, tie + 1);
    }
    std::swap(keys_[first], keys_[median]);
  }
  auto at(size_t place) { return std::lower_bound(ties_.begin(), ties_end_, make(place, 0)); }

  // Hoare's partition by the first element: from both ends, elements that are on the wrong side (or
  // equal the pivot) change places pairwise until the ends meet.
  size_t partition(size_t first, size_t last) {
    const Key pivot = keys_[first];
    first_left_ = at(first + 1);
    moved_.to_left.clear();
    moved_.to_right.clear();
    size_t i = first + 1, j = last;
    Window window(release_, i, j);
#ifdef ASSAY_KEY_VECTORS
    if constexpr (sizeof(Key) == sizeof(uint16_t))
      if (has_key_vectors()) {
        VectorPartition vectors(keys_, pivot, tie_, moved_);
        while (vectors.run(i, j, window.step())) window.settle(i, j);
      }
#endif
    // Vectors need not have put in order what lies beyond: no key there is greater than the pivot.
    const size_t settled = j;
    while (true) {
      while (i < settled && keys_[i] > pivot) ++i;
      --j;
      while (pivot > keys_[j]) --j;
      if (i >= j) return i;
      if (keys_[i] == tie_) moved_.to_right.push_back(static_cast<uint32_t>(j));
      if (keys_[j] == tie_) moved_.to_left.push_back(static_cast<uint32_t>(i));
      std::swap(keys_[i], keys_[j]);
      ++i;
      window.settle(i, j);
    }
  }

  using Release = std::function<void(size_t begin, size_t end)>;
  // What of a partition is in memory: it releases what lies behind the ends, step by step.
  class Window {
   public:
    Window(const Release& release, size_t begin, size_t end)
        : release_(release), begin_(begin), end_(end) {}
    ~Window() {
      if (release_) release_(begin_, end_);
    }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    // How many keys may be settled at once.
    size_t step() const { return release_ ? kStep : end_ - begin_; }
    void settle(size_t begin, size_t end) {
      if (!release_ || (begin - begin_) + (end_ - end) < kStep) return;
      release_(begin_, begin);
      release_(end, end_);
      begin_ = begin;
      end_ = end;
    }

   private:
    static constexpr size_t kStep = size_t{1} << 21;
    const Release& release_;
    size_t begin_, end_;
  };

  // A tie moves only where all ties of its side do, so those that moved are the first of the left
  // side and the last of the right one, in order.
  auto stayed_left() { return first_left_ + static_cast<int64_t>(moved_.to_right.size()); }
  auto stayed_right() { return ties_end_ - static_cast<int64_t>(moved_.to_left.size()); }

  void keep(Tie tie) { kept_[origin_of(tie) / 64] |= uint64_t{1} << origin_of(tie) % 64; }
  void keep_left(size_t cut) {
    for (auto tie = ties_.begin(); tie != first_left_; ++tie) keep(*tie);
    for (auto tie = stayed_left(); tie < stayed_right() && place_of(*tie) < cut; ++tie) keep(*tie);
    for (auto tie = stayed_right(); tie != ties_end_; ++tie) keep(*tie);
  }
  void go_left(size_t cut) {
    const auto end = std::max(stayed_left(), std::min(at(cut), stayed_right()));
    const std::vector<uint32_t>& places = moved_.to_left;
    go_on_with(first_left_, {stayed_left(), end}, Moved<1>{places.data(), before(ties_end_)},
               places.size());
  }
  void go_right(size_t cut) {
    const auto begin = std::min(stayed_right(), std::max(at(cut), stayed_left()));
    const std::vector<uint32_t>& places = moved_.to_right;
    const uint32_t* last = places.data() + places.size() - 1;
    go_on_with(ties_.begin(), {begin, stayed_right()}, Moved<-1>{last, before(stayed_left())},
               places.size());
  }

  using Iterator = typename std::vector<Tie>::iterator;
  const Tie* before(Iterator tie) { return ties_.data() + (tie - ties_.begin()) - 1; }
  // Ties that moved, in the order of the places they came to; origins lead backwards through ties
  // as they were.
  template <int kStep>
  struct Moved {
    const uint32_t* place;
    const Tie* origin;
    Tie tie() const { return make(*place, origin_of(*origin)); }
    void advance(int64_t by) {
      place += kStep * by;
      origin -= by;
    }
    Moved operator+(int64_t by) const { return {place + kStep * by, origin - by}; }
  };
  // Ties before `pivots_end`, those that stayed and `count` that moved, in the order of places.
  template <int kStep>
  void go_on_with(Iterator pivots_end, std::span<const Tie> stayed, Moved<kStep> moved,
                  size_t count) {
    const auto pivots = std::copy(ties_.begin(), pivots_end, merged_.begin()) - merged_.begin();
    merge(stayed, moved, count, merged_.data() + pivots);
    ties_.swap(merged_);
    ties_end_ = ties_.begin() + pivots + static_cast<int64_t>(stayed.size() + count);
  }
  // std::merge() from both ends at once and without branches, which would be mispredicted.
  template <int kStep>
  static void merge(std::span<const Tie> stayed, Moved<kStep> moved, size_t count, Tie* out) {
    auto stays_left = static_cast<int64_t>(stayed.size()), moved_left = static_cast<int64_t>(count);
    const Tie *first = stayed.data(), *last = first + stays_left - 1;
    Moved<kStep> last_moved = moved + (moved_left - 1);
    Tie* out_last = out + stays_left + moved_left - 1;
    while (const int64_t steps = std::min(stays_left, moved_left) / 2) {
      const Tie *const first_before = first, *const last_before = last;
      for (int64_t step = 0; step < steps; ++step) {
        const Tie stays = *first, comes = moved.tie();
        const Tie stay = stays < comes ? 1 : 0;
        *out++ = comes ^ ((stays ^ comes) & -stay);
        first += stay;
        moved.advance(static_cast<int64_t>(1 - stay));
        const Tie last_stays = *last, last_comes = last_moved.tie();
        const Tie last_stay = last_stays > last_comes ? 1 : 0;
        *out_last-- = last_comes ^ ((last_stays ^ last_comes) & -last_stay);
        last -= last_stay;
        last_moved.advance(static_cast<int64_t>(last_stay) - 1);
      }
      const int64_t stayed_now = (first - first_before) + (last_before - last);
      stays_left -= stayed_now;
      moved_left -= 2 * steps - stayed_now;
    }
    while (stays_left > 0 || moved_left > 0) {
      const bool stay = moved_left == 0 || (stays_left > 0 && *first < moved.tie());
      *out++ = stay ? *first : moved.tie();
      if (stay) {
        ++first;
        --stays_left;
      } else {
        moved.advance(1);
        --moved_left;
      }
    }
  }

  // A short rest is sorted by insertion, which is stable; one that was parted too often by a heap.
  void sort_rest(size_t first, size_t last, size_t kept, int depth) {
    constexpr Tie kNone = UINT64_MAX;
    std::vector<std::pair<Key, Tie>> rest;
    for (size_t i = first; i < last; ++i) rest.emplace_back(keys_[i], kNone);
    for (auto tie = ties_.begin(); tie != ties_end_; ++tie)
      rest[place_of(*tie) - first].second = *tie;
    const auto descending = [](const auto& a, const auto& b) { return a.first > b.first; };
    if (last - first > kInsertion && depth == 0)
      std::partial_sort(rest.begin(), rest.end(), rest.end(), descending);
    else
      std::stable_sort(rest.begin(), rest.end(), descending);
    for (size_t i = 0; i < kept; ++i)
      if (rest[i].second != kNone) keep(rest[i].second);
  }

  Key* keys_;
  size_t size_;
  Key tie_;
  Release release_{};
  std::vector<Tie> ties_, merged_;  // of the part that is followed, by place; memory for the next
  std::vector<uint64_t> kept_;      // a bit for every origin
  MovedTies moved_;
  Iterator ties_end_;
  Iterator first_left_;  // of ties_, the first behind the pivot
};

}  // namespace assay
