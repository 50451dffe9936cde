/// Places and whole-file reading and writing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace assay {

namespace fs = std::filesystem;

/// Assay's own folder with `tasks/`, `datasets/`, `recipes/` and `sweeps/`: the environment
/// variable ASSAY_HOME, else the source folder the program was built from.
fs::path home_folder();

/// Where datasets are kept: ASSAY_DATA_DIR, else `data` under home_folder().
fs::path data_folder();

/// A path named in a file or on the command line: absolute, or under `base`, the folder of the file
/// that names it, else under the current folder, else under home_folder(). UserError naming all
/// places looked at when there is none.
fs::path find_file(const fs::path& path, const fs::path& base = {});
/// What a user should know when find_file() took one file and another has that name in the current
/// folder; else empty.
std::string other_of_this_name(const fs::path& path, const fs::path& found);

/// DataError when the file cannot be read.
std::string read_file(const fs::path& path);

/// Writes under a temporary name beside `path`, syncs and renames: `path` holds either its old
/// content or all of the new. DataError (with the system's reason) when it cannot; nothing is left
/// behind, and what killed processes left of writing this file is removed.
void write_file(const fs::path& path, std::string_view content);

/// Likewise, but false when there is something of that name, which is kept.
bool write_new_file(const fs::path& path, std::string_view content);

/// Writes what another regular file holds, as write_file() does, without holding all of it in
/// memory. DataError also when that cannot be read.
void copy_regular_file(const fs::path& from, const fs::path& path);

/// fsync of a file or folder that was written by other means. DataError when it fails.
void sync_path(const fs::path& path);

}  // namespace assay
