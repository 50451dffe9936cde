/// Opening the file of a store, also on read-only file systems. Only results/ includes this.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <memory>

namespace assay {

inline constexpr int kBusyTimeoutMs = 30000;

/// For reading only, also in a folder or on a file system that is not writable. There SQLite cannot
/// create the files that it needs next to a store with a write-ahead log. A store without a log is
/// then opened as immutable; one with a log is copied to the folder for temporary files, and the
/// copy is unlinked on return. DataError when there is no such file.
std::unique_ptr<SQLite::Database> open_for_reading(const std::filesystem::path& path);

/// For writing; creates the file and its folder when they are missing.
std::unique_ptr<SQLite::Database> open_for_writing(const std::filesystem::path& path);

/// Turns on write-ahead logging (WAL), also while other processes open the same new file. DataError
/// when the file system does not support it.
void enable_write_ahead_log(SQLite::Database& database, const std::filesystem::path& path);

}  // namespace assay
