/// Parsers of untrusted text: the header of the safetensors format, and the index of sharded files.
/// Nothing here opens a file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/checkpoint/tensors.h"

namespace assay {

struct SafetensorsEntry {
  TensorInfo info;
  uint64_t offset;  ///< of the data, from the start of the file
};

/// The tensors of a file, given all of its bytes; only the header is read. In name order. DataError
/// naming `file` and the tensor on anything that is not complete and consistent: a short file, a
/// header that is not a JSON object, unknown dtypes, shapes and sizes that disagree, data outside
/// the file, overlaps or gaps.
std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view bytes,
                                                       const std::string& file);

/// The bytes of a file before the tensors' data, which follows in their order without gaps. A
/// multiple of 8 bytes long. DataError for a dtype that the format lacks.
std::string safetensors_header(const std::vector<TensorInfo>& tensors);

/// The text of an index: tensor name -> name of the shard that holds it. DataError naming `file`
/// when it is not such JSON, or a shard is a path to another folder.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& file);

}  // namespace assay
