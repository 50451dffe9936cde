/// Writes files of weights.
#pragma once

#include "harness/checkpoint/safetensors.h"
#include "harness/core/files.h"

namespace assay {

inline void write_safetensors(const std::filesystem::path& path, const StateDict& tensors) {
  write_file(path, safetensors_bytes(tensors));
}

}  // namespace assay
