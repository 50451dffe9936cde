/// Recognises the folders that Assay wrote, which may be replaced.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// Files below a folder, relative to it, sorted, as utf8_text(): the list "files" of assay.json.
/// Without the names in `except`.
Json written_files(const std::filesystem::path& folder, const std::set<std::string>& except);

/// Why a folder is not only Assay's: it has no assay.json of ours, or it contains something that
/// its list ("files") does not name. Folders of versions without a list may contain the files that
/// these wrote. Absent: all of it is Assay's, or it is empty.
std::optional<std::string> foreign_content(const std::filesystem::path& folder);

/// UserError unless a folder can be written at `target`, of resolve_output(): it does not exist, or
/// `replace` is set and it is a folder that is only Assay's, is not a mount point and contains
/// neither the current folder nor a file or folder in `keep`.
void check_output_folder(const std::filesystem::path& target, bool replace,
                         const std::vector<std::filesystem::path>& keep);

}  // namespace assay
