/// The header of the safetensors format, and the index of sharded files: text that comes from
/// strangers. Nothing here opens a file.
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
  uint64_t offset;  ///< of the data, from the beginning of the file
};

/// The tensors of a file, given all of its bytes; only the header is looked at. In name order.
/// DataError naming `file` and the tensor on anything that is not whole and consistent: a short
/// file, a header that is no JSON object, unknown dtypes, shapes and sizes that disagree, data
/// outside the file, overlaps or gaps.
std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view bytes,
                                                       const std::string& file);

/// All of a file before the data of the tensors, which follows in their order without gaps. A
/// multiple of 8 bytes long. DataError for a dtype the format does not have.
std::string safetensors_header(const std::vector<TensorInfo>& tensors);

/// The text of an index: tensor name -> name of the shard that holds it. DataError naming `file`
/// when it is no such JSON, or a shard's name is that of a file elsewhere.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& file);

}  // namespace assay
