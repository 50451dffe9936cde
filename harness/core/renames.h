/// Atomic renames that never replace anything by accident (renameat2).
#pragma once

#include <filesystem>

namespace assay {

/// RENAME_NOREPLACE: renames a file or folder within its file system. False when `to` exists.
/// DataError with the system's reason.
bool rename_noreplace(const std::filesystem::path& from, const std::filesystem::path& to);

/// RENAME_EXCHANGE: swaps two names atomically, so that neither is ever missing. DataError with the
/// system's reason.
void exchange_names(const std::filesystem::path& a, const std::filesystem::path& b);

/// Whether the file system supports exchange_names(). Tries it with two folders whose names begin
/// like this path.
bool can_exchange_names(const std::filesystem::path& path);

}  // namespace assay
