#include "harness/core/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "harness/core/error.h"

namespace assay {

fs::path home_folder() {
  if (const char* home = std::getenv("ASSAY_HOME"); home && *home) return home;
  return ASSAY_SOURCE_FOLDER;
}

fs::path data_folder() {
  if (const char* data = std::getenv("ASSAY_DATA_DIR"); data && *data) return data;
  return home_folder() / "data";
}

fs::path find_file(const fs::path& path, const fs::path& base) {
  if (fs::exists(path)) return path;
  if (path.is_relative())
    for (const fs::path& root : {base, home_folder()})
      if (!root.empty() && fs::exists(root / path)) return root / path;
  user_error("no file or folder '{}'{} nor under '{}'", path.string(),
             base.empty() ? "" : fmt::format(" here, under '{}'", base.string()),
             home_folder().string());
}

void write_file(const fs::path& path, std::string_view content) {
  static std::atomic<int> counter = 0;
  const fs::path temporary = path.string() + fmt::format(".tmp{}-{}", ::getpid(), ++counter);
  const auto fail = [&](const char* what) {
    const int reason = errno;
    std::error_code ignored;
    fs::remove(temporary, ignored);
    data_error("cannot {} '{}': {}", what, path.string(), std::strerror(reason));
  };
  if (path.has_parent_path()) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) data_error("cannot create '{}': {}", path.parent_path().string(), error.message());
  }
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) fail("create");
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      ::close(file);
      fail("write");
    }
    content.remove_prefix(static_cast<size_t>(written));
  }
  const bool synced = ::fsync(file) == 0;
  if (::close(file) != 0 || !synced) fail("sync");
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail("rename");
}

void sync_path(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = file >= 0 && ::fsync(file) == 0;
  const int reason = errno;
  if (file >= 0) ::close(file);
  if (!synced) data_error("cannot sync '{}': {}", path.string(), std::strerror(reason));
}

}  // namespace assay
