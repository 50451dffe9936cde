/// libstdc++'s introsort, in descending order, followed only into the parts that hold one position.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace assay {

/// Where elements of one key, the tie, move while introsort runs over `keys`.
template <typename Key>
class IntrosortTies {
 public:
  IntrosortTies(std::vector<Key>& keys, Key tie)
      : keys_(keys.data()), size_(keys.size()), tie_(tie) {
    // Most short rows hold none, which vectors tell at once.
    constexpr size_t kRow = 32;
    for (size_t begin = 0; begin < size_; begin += kRow) {
      const size_t end = std::min(begin + kRow, size_);
      Key any = 0;
      if (end - begin == kRow)
        for (size_t i = 0; i < kRow; ++i) any |= static_cast<Key>(keys_[begin + i] == tie_);
      else
        any = 1;
      if (any == 0) continue;
      for (size_t i = begin; i < end; ++i)
        if (keys_[i] == tie_) ties_.push_back({i, i});
    }
  }

  /// The ties, by their places before the sort and rising, that the sort puts among the first
  /// `kept`.
  std::vector<int64_t> among_first(size_t kept) {
    size_t first = 0, last = size_;
    int depth = 2 * (std::bit_width(std::max<size_t>(size_, 1)) - 1);
    while (last - first > kInsertion && depth > 0) {
      --depth;
      median_to_first(first, last);
      const size_t cut = partition(first, last);
      if (kept < cut) {
        last = cut;
        ties_ = left_ties(cut);
        continue;
      }
      for (const Tie& tie : left_ties(cut)) kept_.push_back(tie.origin);
      ties_ = right_ties(cut);
      first = cut;
      if (kept == cut) break;
    }
    if (kept > first) sort_rest(first, last, kept - first, depth);
    std::sort(kept_.begin(), kept_.end());
    return {kept_.begin(), kept_.end()};
  }

 private:
  static constexpr size_t kInsertion = 16;  // libstdc++'s _S_threshold
  static constexpr size_t kBlock = 256;

  struct Tie {
    size_t place, origin;
  };
  static bool earlier(const Tie& a, const Tie& b) { return a.place < b.place; }

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
      std::swap(at(first)->origin, at(median)->origin);
    } else if (keys_[first] == tie_) {
      const auto tie = at(first);
      tie->place = median;
      std::rotate(tie, tie + 1, std::upper_bound(tie + 1, ties_.end(), *tie, earlier));
    } else {
      const auto tie = at(median);
      tie->place = first;
      std::rotate(std::upper_bound(ties_.begin(), tie, *tie, earlier), tie, tie + 1);
    }
    std::swap(keys_[first], keys_[median]);
  }
  auto at(size_t place) {
    return std::lower_bound(ties_.begin(), ties_.end(), Tie{place, 0}, earlier);
  }

  // Hoare's partition by the first element: from both ends, elements that are on the wrong side (or
  // equal the pivot) change places pairwise until the ends meet. What stands in blocks that cannot
  // meet yet is looked for without branches.
  size_t partition(size_t first, size_t last) {
    const Key pivot = keys_[first];
    next_left_ = static_cast<size_t>(at(first + 1) - ties_.begin());
    first_left_ = next_left_;
    next_right_ = ties_.size();
    to_left_.clear();
    to_right_.clear();
    std::array<uint8_t, kBlock> left, right;
    size_t i = first + 1, j = last, lefts = 0, rights = 0, l = 0, r = 0;
    while (j - i > 2 * kBlock) {
      if (l == lefts) {
        l = lefts = 0;
        for (size_t t = 0; t < kBlock; ++t) {
          left[lefts] = static_cast<uint8_t>(t);
          lefts += static_cast<size_t>(keys_[i + t] <= pivot);
        }
      }
      if (r == rights) {
        r = rights = 0;
        for (size_t t = 0; t < kBlock; ++t) {
          right[rights] = static_cast<uint8_t>(t);
          rights += static_cast<size_t>(keys_[j - 1 - t] >= pivot);
        }
      }
      for (; l < lefts && r < rights; ++l, ++r) exchange(i + left[l], j - 1 - right[r]);
      if (l == lefts) i += kBlock;
      if (r == rights) j -= kBlock;
    }
    if (l < lefts) i += left[l];
    if (r < rights) j -= right[r];
    while (true) {
      while (keys_[i] > pivot) ++i;
      --j;
      while (pivot > keys_[j]) --j;
      if (i >= j) return i;
      exchange(i, j);
      ++i;
    }
  }

  // A tie moves only where all ties of its side do, so they are met in their order.
  void exchange(size_t i, size_t j) {
    const Key a = keys_[i], b = keys_[j];
    keys_[i] = b;
    keys_[j] = a;
    if (a != tie_ && b != tie_) return;
    if (a == tie_) to_right_.push_back({j, ties_[next_left_++].origin});
    if (b == tie_) to_left_.push_back({i, ties_[--next_right_].origin});
  }

  // What lies on one side of the cut after a partition: what stayed, and what came.
  std::vector<Tie> left_ties(size_t cut) {
    std::vector<Tie> stayed(ties_.begin(), ties_.begin() + static_cast<int64_t>(first_left_));
    stayed.insert(stayed.end(), ties_.begin() + static_cast<int64_t>(next_left_),
                  std::max(at(cut), ties_.begin() + static_cast<int64_t>(next_left_)));
    return merged(stayed, to_left_);
  }
  std::vector<Tie> right_ties(size_t cut) {
    const auto end = ties_.begin() + static_cast<int64_t>(next_right_);
    std::reverse(to_right_.begin(), to_right_.end());
    return merged({std::min(at(cut), end), end}, to_right_);
  }
  static std::vector<Tie> merged(const std::vector<Tie>& a, const std::vector<Tie>& b) {
    std::vector<Tie> all(a.size() + b.size());
    std::merge(a.begin(), a.end(), b.begin(), b.end(), all.begin(), earlier);
    return all;
  }

  // A short rest is sorted by insertion, which is stable; one that was parted too often by a heap.
  void sort_rest(size_t first, size_t last, size_t kept, int depth) {
    constexpr size_t kNone = SIZE_MAX;
    std::vector<std::pair<Key, size_t>> rest;
    for (size_t i = first; i < last; ++i) rest.emplace_back(keys_[i], kNone);
    for (const Tie& tie : ties_) rest[tie.place - first].second = tie.origin;
    const auto descending = [](const auto& a, const auto& b) { return a.first > b.first; };
    if (last - first > kInsertion && depth == 0)
      std::partial_sort(rest.begin(), rest.end(), rest.end(), descending);
    else
      std::stable_sort(rest.begin(), rest.end(), descending);
    for (size_t i = 0; i < kept; ++i)
      if (rest[i].second != kNone) kept_.push_back(rest[i].second);
  }

  Key* keys_;
  size_t size_;
  Key tie_;
  std::vector<Tie> ties_;  // of the part that is followed, by place
  std::vector<size_t> kept_;
  std::vector<Tie> to_left_, to_right_;  // in the order in which they moved: rising; falling
  size_t first_left_ = 0, next_left_ = 0, next_right_ = 0;  // what of ties_ has moved
};

}  // namespace assay
