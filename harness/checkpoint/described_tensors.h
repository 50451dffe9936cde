/// One safetensors file with texts about its tensors in its header.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "harness/checkpoint/tensors.h"

namespace assay {

using Descriptions = std::map<std::string, std::string>;

/// Reads the texts; empty when there are none. DataError as SafetensorsFile::open().
Descriptions read_descriptions(const std::filesystem::path& path);

/// Writes the file tensor by tensor, whole or not at all. Adds to counters::bytes_written.
void write_described(const std::filesystem::path& path, const StateDict& tensors,
                     const Descriptions& descriptions);

}  // namespace assay
