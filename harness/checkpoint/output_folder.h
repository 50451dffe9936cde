/// Where a folder is made before it has its name, and how it gets it.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/file_lock.h"

namespace assay {

/// The hidden sibling in which the folder `target` is made: what a killed process leaves.
std::filesystem::path unfinished_folder(const std::filesystem::path& target);

/// One process at a time makes a folder. A lock beside the unfinished folder is held until that has
/// its name, so that nobody can take it over between its end and its renaming.
class OutputFolder {
 public:
  static constexpr const char* kMarker = ".assay-unfinished";  ///< a file, until end()

  /// Judges the name (resolve_output(), check_output_folder()), locks it and makes the unfinished
  /// folder; what another left there stays until clear(). UserError also when another process is
  /// making the folder, or what lies in the place of the unfinished one is not Assay's.
  OutputFolder(const std::filesystem::path& folder, bool replace,
               std::vector<std::filesystem::path> keep);

  const std::filesystem::path& target() const { return target_; }
  const std::filesystem::path& unfinished() const { return unfinished_; }

  /// Removes what another left, but for the files of these names.
  void clear(const std::function<bool(const std::string&)>& kept);
  /// What may be there is the content of the finished folder only.
  void end();
  /// Gives the unfinished folder its name, after end(). What was there before is judged again: when
  /// it may not be replaced (any more) or cannot be, it stays, the result gets another name, and
  /// that is a UserError.
  void put_in_place();
  /// Removes the unfinished folder, unless something else has that name by now.
  void remove() noexcept;

 private:
  [[noreturn]] void keep_aside(const std::string& why);

  std::filesystem::path target_, unfinished_;
  bool replace_, swapped_ = false;
  std::vector<std::filesystem::path> keep_;
  std::optional<FileLock> lock_;
};

}  // namespace assay
