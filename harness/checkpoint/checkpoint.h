/// Checkpoints on disk: a Hugging Face-style folder (config.json and safetensors, single or sharded
/// with an index, or files of torch.save()), OpenCLIP's folder, or a lone file of safetensors, of
/// torch.save() or GGUF. Weights are memory-mapped and read on demand. A LoRA adapter may be
/// applied to them: the tensors that it changes are computed when they are read.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>

#include "harness/checkpoint/internal/adapter.h"
#include "harness/checkpoint/model_path.h"
#include "harness/checkpoint/open_clip.h"
#include "harness/checkpoint/tensor_file.h"
#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

class Checkpoint : public TensorSource {
 public:
  /// Reads headers only. DataError, naming the file, when something is missing, truncated or
  /// inconsistent (an index that names a tensor its shard lacks, overlapping or short data, ...).
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path);
  /// With the path's adapter applied. Also throws what Adapter's constructor throws.
  static std::shared_ptr<const Checkpoint> open(const ModelPath& model) {
    return open(model, ClipTower::kImage);
  }
  /// The same of any folder but OpenCLIP's, of which this shows the text tower.
  static std::shared_ptr<const Checkpoint> open_text_tower(const ModelPath& model) {
    return open(model, ClipTower::kText);
  }

  /// The model's own folder or lone file: where there is an adapter, config.json and tokenizer are
  /// the base's.
  const std::filesystem::path& path() const { return path_; }
  /// "PATH", or "PATH+ADAPTER".
  std::string label() const override { return model_path().text(); }
  ModelPath model_path() const {
    return {path_, adapter_ ? adapter_->path() : std::filesystem::path()};
  }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read(const std::string& name) const override;
  at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const override;
  void prefetch(const std::string& name, int64_t first, int64_t count) const override;
  void release(const std::string& name, int64_t first, int64_t count) const override;
  /// Memoized: computed once per process.
  std::string content_hash() const override;
  std::string stamp() const override;

  /// config.json, made from the metadata of a .gguf file; null for a lone .safetensors file.
  const Json& config() const { return config_; }
  /// assay.json: how Assay made this checkpoint (recipe, tasks trained on, cost); null otherwise.
  /// With an adapter: that of the adapter's folder.
  const Json& origin() const { return origin_; }

 private:
  Checkpoint() = default;
  static std::shared_ptr<const Checkpoint> open(const ModelPath& model, ClipTower tower);
  std::shared_ptr<const TensorFile> open_file(const std::filesystem::path& path);
  /// The file that holds the tensor, and its index in the file. DataError when there is none.
  std::pair<const TensorFile&, size_t> locate(const std::string& name) const;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> file_paths_;
  std::vector<std::shared_ptr<const TensorFile>> files_;
  std::map<std::string, size_t> file_of_;
  std::vector<TensorInfo> infos_;
  Json config_, origin_;
  std::unique_ptr<const Adapter> adapter_;  ///< null: none
  mutable std::mutex hash_mutex_;
  mutable std::string hash_;
};

}  // namespace assay
