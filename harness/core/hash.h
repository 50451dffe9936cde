/// Hashes: XXH3-128 names content inside Assay (fast, not cryptographic); SHA-256 pins downloads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace assay {

/// Streaming XXH3-128. Text parts are length-prefixed, so ("ab","c") and ("a","bc") differ.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  Hasher& bytes(const void* data, size_t size);
  Hasher& text(std::string_view part);
  Hasher& number(uint64_t value);
  /// 32 lower-case hexadecimal digits.
  std::string hex() const;
  /// The low 64 bits, for generator keys.
  uint64_t low64() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_text(std::string_view text);

/// SHA-256 in lower-case hexadecimal. DataError when the file cannot be read.
std::string sha256_file(const std::filesystem::path& path);
std::string sha256_bytes(std::string_view data);

}  // namespace assay
