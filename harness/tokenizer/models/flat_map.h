/// An open-addressing hash map (linear probing) from 64-bit keys to small values: look-ups dominate
/// the inner loops of merging and of tries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay {

/// The key UINT64_MAX is not allowed. Nothing is ever removed.
template <typename Value>
class FlatMap {
 public:
  explicit FlatMap(size_t expected = 0) {
    size_t capacity = 16;
    while (capacity < expected * 2) capacity *= 2;
    slots_.resize(capacity);
  }

  const Value* find(uint64_t key) const {
    for (size_t i = slot_of(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return &slots_[i].value;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

  /// The value of a key, default-constructed when it is new.
  Value& operator[](uint64_t key) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    for (size_t i = slot_of(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return slots_[i].value;
      if (slots_[i].key == kEmpty) {
        ++size_;
        slots_[i].key = key;
        return slots_[i].value;
      }
    }
  }

  size_t size() const { return size_; }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Slot {
    uint64_t key = kEmpty;
    Value value{};
  };

  size_t slot_of(uint64_t key) const {
    const uint64_t mixed =
        key * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio: spreads over high bits
    return (mixed ^ mixed >> 32) & (slots_.size() - 1);
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    size_ = 0;
    for (const Slot& slot : old)
      if (slot.key != kEmpty) (*this)[slot.key] = slot.value;
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace assay
