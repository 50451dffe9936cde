#include "harness/core/files.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "harness/core/error.h"
#include "harness/core/paths.h"
#include "harness/core/regular_file.h"
#include "harness/core/renames.h"
#include "harness/core/write_pieces.h"

namespace assay {
namespace {

// NAME.tmpPID-NUMBER, locked by the process that writes it.
constexpr std::string_view kTemporary = ".tmp";

bool is_temporary_of(const std::string& name, const std::string& file) {
  if (!name.starts_with(file) || name.compare(file.size(), kTemporary.size(), kTemporary) != 0)
    return false;
  const size_t number = file.size() + kTemporary.size();
  const size_t dash = name.find('-', number);
  return dash != std::string::npos && dash > number && dash + 1 < name.size() &&
         name.find_first_not_of("0123456789", number) == dash &&
         name.find_first_not_of("0123456789", dash + 1) == std::string::npos;
}

/// Removes the temporary files of `path` that killed processes left: those that nobody has locked.
void remove_leftovers(const fs::path& path) {
  std::error_code unreadable;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (fs::directory_iterator entry(folder, unreadable), end; !unreadable && entry != end;
       entry.increment(unreadable)) {
    const std::string name = entry->path().string();
    if (!is_temporary_of(entry->path().filename().string(), path.filename().string())) continue;
    const int file = ::open(name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) continue;
    struct stat status {};
    if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
        ::flock(file, LOCK_EX | LOCK_NB) == 0)
      ::unlink(name.c_str());
    ::close(file);
  }
}

/// The new content of a file before it is renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& path) : path_(path) {
    if (path.has_parent_path()) {
      std::error_code error;
      fs::create_directories(path.parent_path(), error);
      if (error) data_error("cannot create '{}': {}", path.parent_path().string(), error.message());
    }
    remove_leftovers(path);
    static std::atomic<int> counter = 0;
    struct stat status {};
    do {  // another process may see the file before it is locked, and remove it
      if (file_ >= 0) ::close(file_);
      name_ = path.string() + fmt::format("{}{}-{}", kTemporary, ::getpid(), ++counter);
      constexpr mode_t kMode = 0644;
      file_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
      if (file_ < 0 && errno != EEXIST) fail("create");
      if (file_ >= 0) ::flock(file_, LOCK_EX);  // where flock() fails, leftovers are kept
    } while (file_ < 0 || (::fstat(file_, &status) == 0 && status.st_nlink == 0));
  }
  ~TemporaryFile() {
    ::unlink(name_.c_str());  // while it is locked; fails once it was renamed
    if (file_ >= 0) ::close(file_);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& name() const { return name_; }

  /// Appends all of it.
  void write(std::string_view content) const {
    while (!content.empty()) {
      const ssize_t written = ::write(file_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("write");
      content.remove_prefix(static_cast<size_t>(written));
    }
  }
  /// fsync.
  void sync() const {
    if (::fsync(file_) != 0) fail("sync");
  }
  [[noreturn]] void fail(const char* what) const {
    data_error("cannot {} '{}': {}", what, path_.string(), std::strerror(errno));
  }

 private:
  fs::path path_;
  std::string name_;
  int file_ = -1;
};

/// PREFIX/share/assay when this library lies in PREFIX/lib: found through the library, so that a
/// moved PREFIX is found too. Empty in a build folder.
fs::path installed_home() {
  Dl_info self{};
  if (::dladdr(reinterpret_cast<void*>(&home_folder), &self) == 0) return {};
  std::error_code absent;
  const fs::path library = fs::canonical(self.dli_fname, absent);
  if (absent) return {};
  fs::path home = library.parent_path().parent_path() / "share" / "assay";
  return fs::is_directory(home / "tasks", absent) ? home : fs::path();
}

fs::path environment_path(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

fs::path home_folder() {
  if (fs::path chosen = environment_path("ASSAY_HOME"); !chosen.empty()) return chosen;
  const fs::path installed = installed_home();
  return installed.empty() ? ASSAY_SOURCE_FOLDER : installed;
}

fs::path data_folder() {
  if (fs::path chosen = environment_path("ASSAY_DATA_DIR"); !chosen.empty()) return chosen;
  if (!environment_path("ASSAY_HOME").empty() || installed_home().empty())
    return home_folder() / "data";
  if (const fs::path cache = environment_path("XDG_CACHE_HOME"); cache.is_absolute())
    return cache / "assay" / "data";
  if (const fs::path user = environment_path("HOME"); user.is_absolute())
    return user / ".cache" / "assay" / "data";
  user_error("no folder for data: set ASSAY_DATA_DIR, XDG_CACHE_HOME or HOME");
}

fs::path find_file(const fs::path& path, const fs::path& base) {
  if (path.is_relative() && !base.empty() && path_exists(base / path)) return base / path;
  if (path_exists(path)) return path;
  if (path.is_relative() && path_exists(home_folder() / path)) return home_folder() / path;
  user_error("no file or folder '{}'{} nor under '{}'", path.string(),
             base.empty() ? "" : fmt::format(" here, under '{}'", base.string()),
             home_folder().string());
}

std::string same_name_note(const fs::path& path, const fs::path& found) {
  std::error_code error;
  if (!fs::exists(path, error) || fs::equivalent(path, found, error)) return "";
  return fmt::format("'{}' is {}; the current folder has another file of this name", path.string(),
                     found.string());
}

void write_file(const fs::path& path, std::string_view content) {
  write_pieces(path, [&](const WritePiece& write) { write(content); });
}

void write_pieces(const fs::path& path,
                  const std::function<void(const WritePiece& write)>& produce) {
  const TemporaryFile temporary(path);
  produce([&](std::string_view content) { temporary.write(content); });
  temporary.sync();
  if (::rename(temporary.name().c_str(), path.c_str()) != 0) temporary.fail("rename");
}

bool write_new_file(const fs::path& path, std::string_view content) {
  const TemporaryFile temporary(path);
  temporary.write(content);
  temporary.sync();
  return rename_noreplace(temporary.name(), path);
}

void copy_regular_file(const fs::path& from, const fs::path& path) {
  constexpr size_t kBlockBytes = size_t{1} << 18;
  const RegularFile source(from);
  const TemporaryFile temporary(path);
  std::string block(kBlockBytes, 0);
  while (const size_t count = source.read(block.data(), block.size()))
    temporary.write(std::string_view(block).substr(0, count));
  temporary.sync();
  if (::rename(temporary.name().c_str(), path.c_str()) != 0) temporary.fail("rename");
}

void sync_path(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = file >= 0 && ::fsync(file) == 0;
  const int reason = errno;
  if (file >= 0) ::close(file);
  if (!synced) data_error("cannot sync '{}': {}", path.string(), std::strerror(reason));
}

}  // namespace assay
