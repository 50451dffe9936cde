/// Opening the file of a store, wherever it lies. Only results/ includes this.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <memory>

namespace assay {

inline constexpr int kBusyTimeoutMs = 30000;

/// For reading only, also in a folder or on a file system where nothing can be written. There,
/// SQLite cannot make the files it needs beside a store with a write-ahead log: without a log the
/// store is read as one that does not change, and a store with a log is read from a copy in the
/// folder for temporary files, which is gone again on return. DataError when there is no such file.
std::unique_ptr<SQLite::Database> open_for_reading(const std::filesystem::path& path);

/// For writing; makes the file and its folder when they are missing.
std::unique_ptr<SQLite::Database> open_for_writing(const std::filesystem::path& path);

/// Turns the write-ahead log on, also while other processes open the same new file. DataError when
/// the file system cannot keep one.
void log_ahead(SQLite::Database& database, const std::filesystem::path& path);

}  // namespace assay
