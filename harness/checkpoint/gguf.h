/// The GGUF format (versions 2 and 3, little-endian), which llama.cpp and its relatives store
/// models in: typed metadata, then the shapes, types and places of tensors, then their bytes.
/// Nothing here opens a file or knows a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// How a tensor's values are stored. Numbers and names are the format's.
// NOLINTBEGIN(readability-identifier-naming)
enum class GgufType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};
// NOLINTEND(readability-identifier-naming)

/// Values come in blocks, each of which has so many bytes.
struct GgufBlock {
  int64_t values, bytes;
};
GgufBlock block_of(GgufType type);

struct GgufTensor {
  std::string name;
  GgufType type;
  /// Slowest dimension first, as elsewhere in Assay; a row is whole blocks.
  std::vector<int64_t> shape;
  uint64_t offset;  ///< of the data, from the start of the file
  int64_t numel() const;
  int64_t bytes() const;
};

struct GgufHeader {
  Json metadata;                    ///< an object of numbers, texts, Booleans and lists of them
  std::vector<GgufTensor> tensors;  ///< in the file's order
  /// nullptr when there is none of that name.
  const GgufTensor* find(const std::string& name) const;
};

/// Of all bytes of a file; only the header is read. DataError naming `file` and the place on
/// anything that is not complete and consistent: another version, texts that are not UTF-8, keys or
/// names twice, unknown types, sizes that the file does not have, data that overlap.
GgufHeader parse_gguf(std::string_view bytes, const std::string& file);

/// Whether the path is that of a GGUF file, by its name.
bool is_gguf_path(const std::filesystem::path& path);

}  // namespace assay
