/// One merge described by a JSON file:
///
///   {"method": "ties", "parameters": {"density": 0.2}, "base": "base/",
///    "experts": ["a/", "b/"], "seed": 0, "dtype": "bfloat16"}
///
/// Paths are relative to the file. Only "method" and "experts" are required.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/merge/merge.h"

namespace assay {

/// A merge as it was asked for: what goes in, which methods make which tensors.
struct MergeRequest {
  std::string title;   ///< of the model card: the method
  Json configuration;  ///< what determines the result, for the card and assay.json
  MergeInputs inputs;  ///< base, experts, seed, dtypes
  std::vector<MethodGroup> groups;
  std::shared_ptr<const Checkpoint> like;  ///< gives config.json and the tokenizer's files
  Json config;                             ///< config.json of the result; null for none

  /// UserError on anything wrong with the file, before a checkpoint is opened; DataError from
  /// opening the checkpoints.
  static MergeRequest read(const std::filesystem::path& path);
};

}  // namespace assay
