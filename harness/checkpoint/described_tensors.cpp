#include "harness/checkpoint/described_tensors.h"

#include <ATen/ATen.h>

#include "harness/checkpoint/internal/safetensors_metadata.h"
#include "harness/checkpoint/mapped_file.h"
#include "harness/core/cost.h"
#include "harness/core/write_pieces.h"

namespace assay {

Descriptions read_descriptions(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_safetensors_metadata(file.bytes(), path.string());
}

void write_described(const std::filesystem::path& path, const StateDict& tensors,
                     const Descriptions& descriptions) {
  write_pieces(path, [&](const WritePiece& write) {
    write(safetensors_header(tensor_infos(tensors), descriptions));
    for (const auto& [name, tensor] : tensors) {
      const at::Tensor data = tensor.cpu().contiguous();
      write({static_cast<const char*>(data.data_ptr()), data.nbytes()});
      counters::bytes_written += static_cast<int64_t>(data.nbytes());
    }
  });
}

}  // namespace assay
