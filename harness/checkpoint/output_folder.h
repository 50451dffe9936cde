/// Atomic creation of a folder: written under a temporary name, then renamed.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/file_lock.h"

namespace assay {

/// The hidden sibling in which the folder `target` is written. A killed process leaves it.
std::filesystem::path unfinished_folder(const std::filesystem::path& target);

/// One process at a time writes a folder. A lock file next to the unfinished folder is held until
/// that is renamed, so that no other process can use it between complete() and commit().
class OutputFolder {
 public:
  static constexpr const char* kMarker = ".assay-unfinished";  ///< a file, until complete()

  /// Checks the name (resolve_output(), check_output_folder()), locks it and creates the unfinished
  /// folder; files of a killed process stay in it until clear(). UserError also when another
  /// process is writing the folder, or when the unfinished folder is not Assay's.
  OutputFolder(const std::filesystem::path& folder, bool replace,
               std::vector<std::filesystem::path> keep);

  const std::filesystem::path& target() const { return target_; }
  const std::filesystem::path& unfinished() const { return unfinished_; }

  /// Removes what a killed process left, except the files with these names.
  void clear(const std::function<bool(const std::string&)>& kept);
  /// Removes the marker: from now on the folder has its final content.
  void complete();
  /// Renames the unfinished folder to its target, after complete(). An existing target is checked
  /// again: when it may not (any more) or cannot be replaced, it stays, the result gets another
  /// name, and a UserError says so.
  void commit();
  /// Removes the unfinished folder, unless another folder has that name by now.
  void remove() noexcept;

 private:
  [[noreturn]] void keep_under_other_name(const std::string& why);

  std::filesystem::path target_, unfinished_;
  bool replace_, swapped_ = false;
  std::vector<std::filesystem::path> keep_;
  std::optional<FileLock> lock_;
};

}  // namespace assay
