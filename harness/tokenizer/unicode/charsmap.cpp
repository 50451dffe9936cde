#include "harness/tokenizer/unicode/charsmap.h"

#include <algorithm>
#include <cstring>

#include "harness/core/error.h"
#include "harness/tokenizer/limits.h"
#include "harness/tokenizer/utf8.h"

namespace assay {

std::optional<Charsmap> Charsmap::read(std::string_view bytes) {
  Charsmap map;
  if (bytes.empty()) return map;
  uint32_t size = 0;
  if (bytes.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, bytes.data(), sizeof size);
  if (size % sizeof(uint32_t) != 0 || size > bytes.size() - sizeof size) return std::nullopt;
  map.units_.resize(size / sizeof(uint32_t));
  std::memcpy(map.units_.data(), bytes.data() + sizeof size, size);
  map.texts_ = bytes.substr(sizeof size + size);
  if (valid_utf8(map.texts_) != map.texts_) return std::nullopt;
  return map;
}

std::optional<Charsmap::Found> Charsmap::search(std::string_view text, bool first) const {
  std::optional<Found> found;
  if (units_.empty()) return found;
  uint32_t node = offset(0);
  for (size_t i = 0; i < std::min(text.size(), kMaxPatternBytes); ++i) {
    const auto label = static_cast<unsigned char>(text[i]);
    if (label == 0) break;
    node ^= label;
    if (node >= units_.size() || (units_[node] & 0x800000FFu) != label) break;
    const bool leaf = units_[node] >> 8 & 1;
    node ^= offset(node);
    if (!leaf) continue;
    const uint32_t value = node < units_.size() ? units_[node] & 0x7FFFFFFFu : UINT32_MAX;
    const bool inside = value < texts_.size();
    if (!inside || (static_cast<unsigned char>(texts_[value]) & 0xC0) == 0x80)
      data_error("a tokenizer's precompiled_charsmap has an offset outside of its texts");
    found = Found{i + 1, texts_.c_str() + value};
    if (first) break;
  }
  return found;
}

uint32_t Charsmap::offset(uint32_t node) const {
  const uint32_t unit = units_[node];
  return unit >> 10 << ((unit & 1u << 9) >> 6);
}

}  // namespace assay
