/// Letters of ASCII, whatever the locale; other bytes stay as they are.
#pragma once

#include <string>

namespace assay {

inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

inline std::string ascii_lower(std::string text) {
  for (char& c : text) c = ascii_lower(c);
  return text;
}

}  // namespace assay
