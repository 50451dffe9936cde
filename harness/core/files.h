/// Folders of Assay, and reading and writing of whole files.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace assay {

namespace fs = std::filesystem;

/// Assay's own folder with `tasks/`, `datasets/`, `recipes/` and `sweeps/`: ASSAY_HOME in the
/// environment, else share/assay of an installed program, else the source folder it was built from.
fs::path home_folder();

/// ASSAY_DATA_DIR, else `data` under home_folder(), or ~/.cache/assay/data of an installed program.
fs::path data_folder();

/// A path named in a file or on the command line: absolute, or under `base`, the folder of the file
/// that names it, else under the current folder, else under home_folder(). UserError naming all
/// places searched when there is none.
fs::path find_file(const fs::path& path, const fs::path& base = {});
/// A note for the user when find_file() chose one file and the current folder has another of the
/// same name; else empty.
std::string same_name_note(const fs::path& path, const fs::path& found);

/// DataError when the file cannot be read.
std::string read_file(const fs::path& path);

/// Atomic: writes under a temporary name in the same folder, syncs and renames, so `path` holds
/// either its old content or all of the new. Removes temporary files that killed processes left of
/// it. DataError (with the system's reason) when it cannot; then no temporary file is left.
void write_file(const fs::path& path, std::string_view content);

/// As write_file(), but never replaces: false when `path` exists.
bool write_new_file(const fs::path& path, std::string_view content);

/// Copies another regular file, as write_file() writes, block by block. DataError also when it
/// cannot be read.
void copy_regular_file(const fs::path& from, const fs::path& path);

/// fsync of a file or folder that was written in another way. DataError when it fails.
void sync_path(const fs::path& path);

}  // namespace assay
