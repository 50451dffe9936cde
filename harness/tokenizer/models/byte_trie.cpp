#include "harness/tokenizer/models/byte_trie.h"

namespace assay {

uint32_t ByteTrie::new_node() {
  numbers_.push_back(kNoNumber);
  return static_cast<uint32_t>(numbers_.size() - 1);
}

void ByteTrie::insert(std::string_view text, int32_t number) {
  uint32_t& root = first_[static_cast<unsigned char>(text[0])];
  if (root == kNone) root = new_node();
  uint32_t node = root;
  for (const char byte : text.substr(1)) {
    uint32_t& next = edges_[edge(node, byte)];
    if (next == kNone) next = new_node();
    node = next;
  }
  numbers_[node] = number;
}

std::optional<ByteTrie::Match> ByteTrie::longest(std::string_view text, StepLimit& limit) const {
  std::optional<Match> match;
  limit.spend(prefixes(text, [&](size_t length, int32_t number) {
    match = Match{length, number};
  }));
  return match;
}

}  // namespace assay
