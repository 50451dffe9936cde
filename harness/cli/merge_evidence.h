/// Evidence for merges that a file describes.
#pragma once

#include <filesystem>
#include <memory>

#include "harness/merge/merge_folder.h"

namespace assay::cli {

/// What the request's method needs of data: statistics from the files that it names, or computed
/// and kept (statistics_folder()), and the network on calibration data; null when it needs none.
/// Adds what they are of to the request's configuration. Files are named relative to `config`.
/// UserError, naming expert and remedy, when tasks or files are missing or of another model.
std::unique_ptr<const Evidence> merge_evidence(MergeRequest& request,
                                               const std::filesystem::path& config,
                                               at::Device device);

}  // namespace assay::cli
