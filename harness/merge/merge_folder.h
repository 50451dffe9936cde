/// Merges into a Hugging Face-style folder.
#pragma once

#include <filesystem>
#include <vector>

#include "harness/merge/request/merge_file.h"

namespace assay {

struct FolderOptions {
  at::Device device = at::kCPU;
  int64_t memory_bytes = int64_t{1} << 30;  ///< see MergeInputs; at least 64 MiB
  int64_t shard_bytes = int64_t{5} << 30;   ///< data bytes of a file of weights
  bool replace = false;                     ///< the folder, if Assay wrote it
  bool resume = false;                      ///< resume a killed merge of the same request
  /// In addition to the models: what must not lie in a folder that is replaced, for instance the
  /// configuration.
  std::vector<std::filesystem::path> keep{};
};

/// Gives the request the options that its inputs have too. Then, before a tensor is read: UserError
/// when the result cannot be put at `folder` (check_output_folder()): it may not be replaced, or
/// holds something that the merge reads; DataError with the request's problems and where memory or
/// disk do not suffice. merge_to_folder() calls it too.
void check_merge_folder(MergeRequest& request, const FolderOptions& options,
                        const std::filesystem::path& folder);

/// Merges and writes `folder`: weights in shards with an index, config.json and the side files of
/// the base (or the first expert), assay.json and README.md with the exact configuration
/// and the inputs' hashes. The folder appears complete or not at all (by a rename). Errors as
/// check_merge_folder().
MergeReport merge_to_folder(MergeRequest& request, const FolderOptions& options,
                            const std::filesystem::path& folder);

}  // namespace assay
