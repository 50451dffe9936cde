/// The two layouts of torch.save()'s files.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>

#include "harness/checkpoint/internal/pickle.h"

namespace assay {

/// The tensors that a file describes, and the bytes of the storages that they are views of.
/// Thread-safe.
class TorchStorages {
 public:
  /// By the file's first bytes. DataError where it is neither an archive nor a pickle, or not
  /// complete.
  static std::unique_ptr<const TorchStorages> open(const std::filesystem::path& path);
  virtual ~TorchStorages() = default;

  virtual std::vector<PickledTensor> tensors() const = 0;
  /// The size of a storage. DataError when it is not there.
  virtual uint64_t bytes(const std::string& key) const = 0;
  /// Copies [first, first + count) of the storage's bytes, which there are. DataError where they
  /// cannot be read.
  virtual void read(const std::string& key, uint64_t first, uint64_t count, char* to) const = 0;
};

}  // namespace assay
