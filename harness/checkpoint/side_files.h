/// What a model's folder holds next to its weights: tokenizers, processors, code, licence.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace assay {

struct SideFiles {
  /// Where each file is, by its path relative to the folder.
  std::map<std::filesystem::path, std::filesystem::path> files;
  std::vector<std::string> notes;  ///< what is not copied and may be missing, a line each
};

/// All regular files of a folder and its sub-folders but weights in whatever format, adapters,
/// exports of the weights (onnx, openvino, coreml), checkpoints of a training run, caches (.cache,
/// .git), and the files that a merge writes itself: config.json, assay.json and README.md at the
/// top. Sub-folders that Assay wrote, finished or not, are results of their own and stay out. Links
/// are followed to regular files only. Empty for a single file.
SideFiles side_files(const std::filesystem::path& folder);

}  // namespace assay
