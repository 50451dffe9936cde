/// The tensors of a GGUF file under Hugging Face's names and in its layout.
#pragma once

#include <filesystem>
#include <memory>

#include "harness/checkpoint/gguf.h"
#include "harness/checkpoint/internal/gguf_families.h"
#include "harness/checkpoint/mapped_file.h"
#include "harness/checkpoint/tensor_file.h"

namespace assay {

/// Quantised tensors are float32, others have their stored dtype. What llama.cpp changes when it
/// converts a model is undone: the order of rotated rows, Gemma's norms, GPT-2's transposed
/// weights, joined experts. Memory-mapped; a part of a tensor is computed when it is read.
class GgufFile : public TensorFile, public std::enable_shared_from_this<GgufFile> {
 public:
  /// DataError as parse_gguf(), and on an architecture or a tensor without a name in Hugging Face's
  /// layout.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  /// config.json, made from the metadata.
  const Json& config() const { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read_part(size_t index, int64_t first, int64_t count) const override;
  void prefetch(size_t index, int64_t first, int64_t count) const override;
  void release(size_t index, int64_t first, int64_t count) const override;

 private:
  explicit GgufFile(const std::filesystem::path& path);
  const char* data(const GgufTensor& tensor) const { return file_.bytes().data() + tensor.offset; }
  /// Values [first, first + count) of the source, as stored there, to `out` of the view's dtype.
  void read_stored(const GgufTensor& tensor, int64_t first, int64_t count, void* out) const;
  void read_rotated(const GgufView& view, int64_t first, int64_t count, char* out) const;
  /// The bytes of the file that such a part is made of.
  std::string_view bytes(size_t index, int64_t first, int64_t count) const;

  MappedFile file_;
  GgufHeader header_;
  std::vector<GgufView> views_;
  std::vector<TensorInfo> infos_;
  Json config_;
};

}  // namespace assay
