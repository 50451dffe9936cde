#include "harness/checkpoint/output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "harness/checkpoint/own_folder.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"
#include "harness/core/renames.h"

namespace assay {
namespace {

// Every unfinished folder contains one of these; earlier versions wrote "lock".
constexpr const char* kMarks[] = {OutputFolder::kMarker, "lock"};

bool is_unfinished(const fs::path& folder) {
  return std::any_of(std::begin(kMarks), std::end(kMarks), [&](const char* mark) {
    return fs::is_regular_file(fs::symlink_status(folder / mark));
  });
}

void mark(const fs::path& folder) {
  constexpr mode_t kMode = 0644;
  const fs::path marker = folder / OutputFolder::kMarker;
  const int file = ::open(marker.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kMode);
  if (file < 0) data_error("cannot write '{}': {}", marker.string(), std::strerror(errno));
  ::close(file);
}

}  // namespace

fs::path unfinished_folder(const fs::path& target) {
  return target.parent_path() / fmt::format(".{}.unfinished", target.filename().string());
}

OutputFolder::OutputFolder(const fs::path& folder, bool replace, std::vector<fs::path> keep)
    : target_(resolve_output(folder)),
      unfinished_(unfinished_folder(target_)),
      replace_(replace),
      keep_(std::move(keep)) {
  check_output_folder(target_, replace_, keep_);
  fs::create_directories(target_.parent_path());
  lock_ = FileLock::try_lock(unfinished_.string() + ".lock");
  if (!lock_) user_error("another process is writing '{}'", target_.string());
  check_output_folder(target_, replace_, keep_);  // the last holder may have created it meanwhile
  if (const fs::file_status left = fs::symlink_status(unfinished_);
      fs::exists(left) &&
      !(fs::is_directory(left) && (is_unfinished(unfinished_) || !foreign_content(unfinished_))))
    user_error("'{}' already exists and was not left by an earlier run: move it elsewhere",
               unfinished_.string());
  if (fs::exists(target_) && !can_exchange_names(unfinished_))
    user_error("the file system of '{}' cannot swap folders atomically; remove the folder first",
               target_.string());
  fs::create_directory(unfinished_);
  mark(unfinished_);
}

void OutputFolder::clear(const std::function<bool(const std::string&)>& kept) {
  for (const auto& entry : fs::directory_iterator(unfinished_)) {
    const std::string name = entry.path().filename().string();
    if (name != kMarker && !kept(name)) fs::remove_all(entry.path());
  }
}

void OutputFolder::complete() { fs::remove(unfinished_ / kMarker); }

void OutputFolder::commit() {
  if (!replace_ || !fs::exists(fs::symlink_status(target_))) {
    if (!rename_noreplace(unfinished_, target_)) keep_under_other_name("it appeared meanwhile");
  } else {
    try {
      check_output_folder(target_, replace_, keep_);
    } catch (const UserError& error) {
      keep_under_other_name(error.what());
    }
    swapped_ = true;
    try {
      exchange_names(unfinished_, target_);
    } catch (const DataError& error) {
      keep_under_other_name(error.what());  // else the next run would remove it
    }
    // A file may have been added to it between the check and the exchange.
    if (const auto foreign = foreign_content(unfinished_)) {
      exchange_names(unfinished_, target_);
      keep_under_other_name(*foreign);
    }
    // The marker lets the next run recognise it as left over after a kill.
    mark(unfinished_);
    clear([](const std::string&) { return false; });
    fs::remove_all(unfinished_);
  }
  sync_path(target_.parent_path());
  lock_.reset();
}

void OutputFolder::keep_under_other_name(const std::string& why) {
  for (int number = 1;; ++number) {
    const fs::path other = fmt::format("{}.{}", target_.string(), number);
    if (!rename_noreplace(unfinished_, other)) continue;
    lock_.reset();
    user_error("'{}' is kept: {}. The result is in '{}'", target_.string(), why, other.string());
  }
}

void OutputFolder::remove() noexcept {
  if (!lock_ || swapped_) return;
  std::error_code ignored;
  fs::remove_all(unfinished_, ignored);
  lock_.reset();
}

}  // namespace assay
