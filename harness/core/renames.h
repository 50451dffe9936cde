/// Renames that cannot hit anything that was not asked for.
#pragma once

#include <filesystem>

namespace assay {

/// Gives a file or folder a name in the same file system that nothing has. False when something has
/// it. DataError with the system's reason.
bool move_to_new(const std::filesystem::path& from, const std::filesystem::path& to);

/// Swaps two names in one step: there is no moment in which one of them is missing. DataError with
/// the system's reason.
void exchange(const std::filesystem::path& a, const std::filesystem::path& b);

/// Whether the file system knows exchange(); found by trying it with two folders whose names begin
/// like this path.
bool can_exchange(const std::filesystem::path& path);

}  // namespace assay
