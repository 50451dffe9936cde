/// Evidence for merges that a file describes.
#pragma once

#include <filesystem>
#include <memory>

#include "harness/merge/merge_folder.h"

namespace assay::cli {

/// What a merge knows of data.
struct MergeEvidence {
  std::unique_ptr<const Evidence> evidence;  ///< null when the method needs none
  Json costs = Json::array();  ///< of the statistics: what each is of, its bytes and its cost
};

/// What the config.json of these models says of their architecture. UserError as
/// make_architecture().
std::unique_ptr<const Evidence> structure_of(const MergeInputs& models);

/// What the request's method needs of data: statistics from the files that it names, or computed
/// and kept (statistics_folder()), and the network on calibration data. Adds what they are of to
/// the request's configuration. Files are named relative to `config`. UserError, naming expert and
/// remedy, when tasks or files are missing or of another model. `memory_bytes`: about how much the
/// sums of a statistic may take; 0: no limit.
MergeEvidence merge_evidence(MergeRequest& request, const std::filesystem::path& config,
                             at::Device device, int64_t memory_bytes);

/// The statistics that the request's method reads, from headers and config.json alone: where they
/// come from, and about how much memory the sums of one take, in how many passes, within
/// MergeInputs::memory_bytes.
Json planned_statistics(const MergeRequest& request);

}  // namespace assay::cli
