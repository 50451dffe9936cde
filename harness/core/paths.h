/// Canonical paths: resolved once, as the kernel resolves them, and used in that form from then on.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace assay {

/// True when there is a file or folder; links are followed. UserError, with the system's reason,
/// when that cannot be determined: a link that leads to itself, a name that is too long, no
/// permission.
bool path_exists(const std::filesystem::path& path);

/// The absolute path without '.', '..' and a slash at the end. `..` after a link is resolved as the
/// kernel does; other links stay as they are. A path to nothing is only made absolute.
std::filesystem::path plain_path(const std::filesystem::path& path);

/// The location of an output of this name: absolute, all links followed; its last parts need not
/// exist yet. UserError: an empty name, a dangling link, a name too long to append a temporary
/// suffix to. DataError: a part of the path that is not a folder.
std::filesystem::path resolve_output(const std::filesystem::path& path);

/// Both as plain_path() or resolve_output() return them. A path is within itself.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

/// Whether the folder is a mount point, which cannot be renamed.
bool is_mount_point(const std::filesystem::path& folder);

/// Text that is valid in JSON: a byte that is not UTF-8 is escaped as "\xe8".
std::string utf8_text(std::string_view bytes);

}  // namespace assay
