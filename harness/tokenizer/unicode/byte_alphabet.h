/// The alphabet of byte-level tokenizers (GPT-2's): one printable character for every byte.
/// Printable bytes of Latin-1 map to themselves, the others to U+0100 onwards, in order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace assay {

/// The character of every byte.
std::string bytes_to_alphabet(std::string_view bytes);

/// The bytes of the characters. Absent when one of them is not in the alphabet.
std::optional<std::string> alphabet_to_bytes(std::string_view text);

}  // namespace assay
