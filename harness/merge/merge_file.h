/// One merge described by a JSON file, written to disk:
///
///   {"method": "ties", "parameters": {"density": 0.2}, "base": "base/",
///    "experts": ["a/", "b/"], "seed": 0, "dtype": "bfloat16"}
///
/// Paths are relative to the file. Only "method" and "experts" are required.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/merge/merge.h"

namespace assay {

struct MergeFile {
  std::string method;
  std::unique_ptr<Method> made;  ///< with its parameters checked
  std::shared_ptr<const Checkpoint> base;
  std::vector<std::shared_ptr<const Checkpoint>> experts;
  uint64_t seed = 0;
  std::optional<at::ScalarType> dtype;

  /// UserError on anything wrong with the file, before a checkpoint is opened; DataError from
  /// opening the checkpoints.
  static MergeFile read(const std::filesystem::path& path);
};

struct FolderReport {
  MergeReport merge;
  Cost write;
};

/// Merges and writes `folder`: model.safetensors, config.json and the tokenizer's files of the base
/// (or the first expert), assay.json and README.md with the exact configuration and the inputs'
/// hashes.
FolderReport merge_to_folder(MergeFile& file, at::Device device,
                             const std::filesystem::path& folder, bool replace);

}  // namespace assay
