/// What a path names: judged once, as the kernel reads it, and used in that form from then on.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace assay {

/// True when there is a file or folder; links are followed. UserError, with the system's reason,
/// when that cannot be told: a link that leads to itself, a name that is too long, no permission.
bool path_exists(const std::filesystem::path& path);

/// The absolute path without '.', '..' and a slash at the end. `..` behind a link leads to where
/// the kernel goes; other links stay as they are. A path that leads nowhere comes back absolute.
std::filesystem::path plain_path(const std::filesystem::path& path);

/// Where an output of this name will lie: absolute, all links followed; its last parts need not be
/// there yet. UserError: an empty name, a link that leads nowhere, a name too long to put a
/// temporary one beside it. DataError: a part of the path that is no folder.
std::filesystem::path resolve_output(const std::filesystem::path& path);

/// Both as plain_path() or resolve_output() give them. A path is within itself.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

/// Something else is mounted on this folder: it has no other name and cannot be renamed.
bool is_mount_point(const std::filesystem::path& folder);

/// Text that can stand in JSON: bytes that are not UTF-8 become "\xe8".
std::string utf8_text(std::string_view bytes);

}  // namespace assay
