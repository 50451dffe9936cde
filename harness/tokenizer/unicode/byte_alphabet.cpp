#include "harness/tokenizer/unicode/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "harness/tokenizer/utf8.h"

namespace assay {
namespace {

constexpr char32_t kShifted = 0x100;  // the first character for unprintable bytes

struct Alphabet {
  std::array<std::string, 256> chars;
  std::array<int16_t, 0x200> bytes;  ///< by character; -1: none

  Alphabet() {
    bytes.fill(-1);
    char32_t shifted = kShifted;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD && byte <= 0xFF);
      const char32_t c = printable ? static_cast<char32_t>(byte) : shifted++;
      append_utf8(chars[static_cast<size_t>(byte)], c);
      bytes[c] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string bytes_to_alphabet(std::string_view bytes) {
  const Alphabet& letters = alphabet();
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) out += letters.chars[static_cast<unsigned char>(byte)];
  return out;
}

std::optional<std::string> alphabet_to_bytes(std::string_view text) {
  const Alphabet& letters = alphabet();
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_char(text, i);
    if (c >= letters.bytes.size() || letters.bytes[c] < 0) return std::nullopt;
    out += static_cast<char>(letters.bytes[c]);
  }
  return out;
}

}  // namespace assay
