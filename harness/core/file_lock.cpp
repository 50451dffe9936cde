#include "harness/core/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "harness/core/error.h"

namespace assay {

std::optional<FileLock> FileLock::try_lock(std::filesystem::path path) {
  constexpr mode_t kMode = 0644;
  for (;;) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kMode);
    if (file < 0) data_error("cannot write '{}': {}", path.string(), std::strerror(errno));
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      ::close(file);
      if (reason == EINTR) continue;
      if (reason == EWOULDBLOCK) return std::nullopt;
      data_error("cannot lock '{}': {}", path.string(), std::strerror(reason));
    }
    struct stat held {
    }, named{};
    if (::fstat(file, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev)
      return FileLock(std::move(path), file);
    // Its holder removed the file between open() and flock(): the lock on it is void.
    ::close(file);
  }
}

FileLock::~FileLock() {
  if (file_ < 0) return;
  ::unlink(path_.c_str());  // while it is held: no other process can hold this name
  ::close(file_);
}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  return *this;
}

}  // namespace assay
