/// A trie over bytes: finds which of many strings a text starts with.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "harness/tokenizer/limits.h"
#include "harness/tokenizer/models/flat_map.h"

namespace assay {

/// Maps strings to numbers. The empty string is not allowed.
class ByteTrie {
 public:
  /// A known string gets the new number.
  void insert(std::string_view text, int32_t number);

  /// Calls found(length, number) for every string that `text` begins with, shortest first. Returns
  /// how many bytes of the text it read.
  template <typename Found>
  size_t prefixes(std::string_view text, Found&& found) const {
    if (text.empty()) return 0;
    uint32_t node = first_[static_cast<unsigned char>(text[0])];
    size_t length = 1;
    for (; node != kNone; ++length) {
      if (numbers_[node] != kNoNumber) found(length, numbers_[node]);
      if (length == text.size()) break;
      const uint32_t* next = edges_.find(edge(node, text[length]));
      if (!next) break;
      node = *next;
    }
    return length;
  }

  struct Match {
    size_t length;
    int32_t number;
  };
  /// `limit` counts the bytes read.
  std::optional<Match> longest(std::string_view text, StepLimit& limit) const;

  /// Whether some string begins with this byte.
  bool begins(char byte) const { return first_[static_cast<unsigned char>(byte)] != kNone; }

 private:
  static constexpr uint32_t kNone = 0;
  static constexpr int32_t kNoNumber = INT32_MIN;
  static uint64_t edge(uint32_t node, char byte) {
    return uint64_t{node} << 8 | static_cast<unsigned char>(byte);
  }
  uint32_t new_node();

  std::array<uint32_t, 256> first_{};        ///< nodes reached from the root
  FlatMap<uint32_t> edges_;                  ///< (node, byte) to node
  std::vector<int32_t> numbers_{kNoNumber};  ///< by node; node 0 stands for "none"
};

}  // namespace assay
