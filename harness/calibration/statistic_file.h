/// A statistic on disk: one .safetensors file that can be used without the data and the model.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/calibration/job.h"
#include "harness/calibration/statistic.h"
#include "harness/checkpoint/tensors.h"
#include "harness/core/cost.h"

namespace assay {

/// Tensors have the architecture's names. Read on demand from a mapped file.
class StatisticFile : public TensorSource {
 public:
  /// Reads the header. DataError naming the file when it is broken or no statistic.
  static std::shared_ptr<const StatisticFile> open(const std::filesystem::path& path);
  /// Writes it whole or not at all. Replaces an older one.
  static void write(const std::filesystem::path& path, const StatisticJob& job, int64_t examples,
                    const StatisticTensors& result, const Cost& cost);

  const std::filesystem::path& path() const { return path_; }
  const StatisticJob& job() const { return job_; }
  /// How many examples there were.
  int64_t examples() const { return examples_; }
  const Cost& cost() const { return cost_; }
  /// Of the layers whose inputs it describes; empty for other statistics.
  const std::vector<LayerInfo>& layers() const { return layers_; }
  /// How many vectors were averaged for a tensor, for statistics that average over tokens.
  const std::map<std::string, int64_t>& rows() const { return rows_; }
  /// Bytes of the tensors.
  int64_t bytes() const;
  /// Reads every tensor. DataError when they are not those that were written.
  void verify() const;

  std::string label() const override { return path_.string(); }
  const std::vector<TensorInfo>& tensors() const override { return file_->tensors(); }
  at::Tensor read(const std::string& name) const override { return file_->read(name); }
  at::Tensor read_part(const std::string& name, int64_t first, int64_t count) const override {
    return file_->read_part(name, first, count);
  }
  /// As it was when the file was written; verify() compares it.
  std::string content_hash() const override { return content_hash_; }
  std::string stamp() const override { return file_->stamp(); }

 private:
  StatisticFile() = default;

  std::filesystem::path path_;
  std::shared_ptr<const TensorSource> file_;
  StatisticJob job_;
  int64_t examples_ = 0;
  Cost cost_;
  std::vector<LayerInfo> layers_;
  std::map<std::string, int64_t> rows_;
  std::string content_hash_;
};

}  // namespace assay
