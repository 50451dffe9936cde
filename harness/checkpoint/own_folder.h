/// How to tell the folders that Assay wrote, which may be replaced, from all others.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/core/json.h"

namespace assay {

/// Files below a folder, relative to it, in order, as utf8_text(): what "files" of assay.json says.
/// Without those of the names in `except`.
Json written_files(const std::filesystem::path& folder, const std::set<std::string>& except);

/// Why a folder is not only Assay's: it has no assay.json of ours, or it holds something that the
/// list in there ("files") does not name. Folders of versions that kept no list may hold the files
/// that these wrote. Nothing: all of it is Assay's, or it is empty.
std::optional<std::string> foreign_content(const std::filesystem::path& folder);

/// UserError unless a folder can be put at `target`, of resolve_output(): nothing is there, or
/// `replace` is set and there is a folder that is only Assay's, is no mount point and holds neither
/// the current folder nor one of the files or folders in `keep`.
void check_output_folder(const std::filesystem::path& target, bool replace,
                         const std::vector<std::filesystem::path>& keep);

}  // namespace assay
