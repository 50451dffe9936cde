/// Checkpoints on disk: a Hugging Face-style folder (config.json and safetensors, single or sharded
/// with an index) or a lone .safetensors file. Weights are memory-mapped and read when asked for.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>

#include "harness/checkpoint/safetensors.h"
#include "harness/checkpoint/tensors.h"
#include "harness/core/json.h"

namespace assay {

class Checkpoint : public TensorSource {
 public:
  /// Reads headers only. DataError, naming the file, when something is missing, truncated or
  /// inconsistent (an index that names a tensor its shard lacks, overlapping or short data, ...).
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::string label() const override { return path_.string(); }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  at::Tensor read(const std::string& name) const override;
  at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const override;
  void will_need(const std::string& name, int64_t first, int64_t count) const override;
  void release(const std::string& name, int64_t first, int64_t count) const override;
  /// Computed once per process, then remembered.
  std::string content_hash() const override;
  std::string stamp() const override;

  /// config.json; null for a lone file.
  const Json& config() const { return config_; }
  /// assay.json: how Assay made this checkpoint (recipe, tasks trained on, cost); null otherwise.
  const Json& origin() const { return origin_; }

 private:
  Checkpoint() = default;
  /// The file that holds the tensor, and its place in there. DataError when there is none.
  std::pair<const SafetensorsFile&, size_t> locate(const std::string& name) const;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> file_paths_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::map<std::string, size_t> file_of_;
  std::vector<TensorInfo> infos_;
  Json config_, origin_;
  mutable std::mutex hash_mutex_;
  mutable std::string hash_;
};

}  // namespace assay
