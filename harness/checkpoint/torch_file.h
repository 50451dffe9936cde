/// Files of torch.save(): a zip archive with a pickle and the bytes of every storage, or, before
/// PyTorch 1.6, pickles followed by those bytes. The pickle is read as data (internal/pickle.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/checkpoint/internal/pickle.h"
#include "harness/checkpoint/tensor_file.h"

namespace assay {

/// File names of a folder's weights in this format.
inline constexpr const char* kTorchWeightsName = "pytorch_model.bin";
inline constexpr const char* kTorchIndexName = "pytorch_model.bin.index.json";

/// Whether a file's name ends in .pth, .pt, .bin or .ckpt.
bool is_torch_path(const std::filesystem::path& path);

class TorchStorages;

class TorchFile final : public TensorFile {
 public:
  /// DataError naming the file, and the tensor or the Python name that is refused: on anything that
  /// is not a complete file of plain tensors in a state dict, as pickled_state_dict() finds it.
  static std::shared_ptr<const TorchFile> open(const std::filesystem::path& path);
  ~TorchFile() override;

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read_part(size_t index, int64_t first, int64_t count) const override;
  void prefetch(size_t /*index*/, int64_t /*first*/, int64_t /*count*/) const override {}
  void release(size_t /*index*/, int64_t /*first*/, int64_t /*count*/) const override {}

 private:
  explicit TorchFile(const std::filesystem::path& path);

  std::unique_ptr<const TorchStorages> storages_;
  std::vector<PickledTensor> tensors_;
  std::vector<TensorInfo> infos_;  ///< of tensors_
};

}  // namespace assay
