/// Named tensors: the one form of model weights in Assay.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace assay {

/// Weights by name, in name order. Linear weights are stored [out, in].
using StateDict = std::map<std::string, at::Tensor>;

struct TensorInfo {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  int64_t numel() const;
  int64_t bytes() const;
};

/// The infos of all tensors, in name order.
std::vector<TensorInfo> tensor_infos(const StateDict& tensors);

/// Elements [first, first + count) of the flattened tensor, whose memory they share where it is
/// contiguous; without gradients. On the host it avoids LibTorch's operators, whose overhead of a
/// few microseconds each matters in sweeps of small models.
at::Tensor elements(const at::Tensor& tensor, int64_t first, int64_t count);

/// A source of tensors by name: a checkpoint on disk or weights in memory.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// Names the source in messages: a path or a given label.
  virtual std::string label() const = 0;
  /// In name order.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  /// The tensor, in its storage dtype. It may share memory with the source: do not write to it.
  /// DataError when there is none of that name.
  virtual at::Tensor read(const std::string& name) const = 0;
  /// Elements [first, first + count) of the flattened tensor.
  virtual at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const;
  /// Hints about elements [first, first + count): prefetch starts reading from disk what will soon
  /// be needed; release says that they need not stay in memory.
  virtual void prefetch(const std::string& name, int64_t first, int64_t count) const;
  virtual void release(const std::string& name, int64_t first, int64_t count) const;
  /// XXH3-128 over all names, dtypes, shapes and the hashes of all bytes, in hexadecimal.
  /// Independent of how the tensors are laid out in files.
  virtual std::string content_hash() const = 0;
  /// Changes when the source's files change (sizes and times), without reading them. Empty for
  /// sources without files.
  virtual std::string stamp() const { return {}; }

  /// nullptr when there is none of that name.
  const TensorInfo* find(const std::string& name) const;
};

/// Weights in memory as a source.
class MemorySource : public TensorSource {
 public:
  /// `content_hash`: where it is already known; else it is computed on first use (memoized).
  MemorySource(std::string label, StateDict tensors, std::string content_hash = {});
  std::string label() const override { return label_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read(const std::string& name) const override;
  std::string content_hash() const override;

 private:
  std::string label_;
  StateDict tensors_;
  std::vector<TensorInfo> infos_;
  mutable std::mutex hash_mutex_;
  mutable std::string hash_;
};

/// "float32", "bfloat16", ...: the names used in messages, sweep files and results.
std::string dtype_name(at::ScalarType dtype);
/// UserError listing the known names.
at::ScalarType dtype_from_name(const std::string& name, const std::string& where);
/// "[3, 4]".
std::string shape_text(at::IntArrayRef shape);

/// content_hash() of any set of tensors.
std::string content_hash(const TensorSource& source);
/// The same from the hashes of the tensors' bytes (Hasher::hex()), in name order.
std::string content_hash(const std::vector<TensorInfo>& infos,
                         const std::map<std::string, std::string>& byte_hashes);

}  // namespace assay
