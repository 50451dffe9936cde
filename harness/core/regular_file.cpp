#include "harness/core/regular_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>

#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay {
namespace {

[[noreturn]] void refuse(const fs::path& path, int reason) {
  data_error("cannot read '{}': {}", path.string(), std::strerror(reason));
}

ssize_t read_some(int descriptor, char* data, size_t size) {
  ssize_t count = 0;
  do count = ::read(descriptor, data, size);
  while (count < 0 && errno == EINTR);
  return count;
}

}  // namespace

RegularFile::RegularFile(const fs::path& path) : path_(path) {
  if (::stat(path.c_str(), &status_) != 0) refuse(path, errno);
  if (!S_ISREG(status_.st_mode))
    data_error(
        "cannot read '{}': {}", path.string(),
        S_ISDIR(status_.st_mode) ? "it is a folder, not a regular file" : "not a regular file");
  // O_NONBLOCK: should it have become a FIFO meanwhile, open() does not wait for a writer.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) refuse(path, errno);
  if (::fstat(descriptor_, &status_) == 0 && S_ISREG(status_.st_mode)) return;
  ::close(descriptor_);
  data_error("cannot read '{}': not a regular file", path.string());
}

RegularFile::~RegularFile() { ::close(descriptor_); }

size_t RegularFile::read(char* data, size_t size) const {
  const ssize_t count = read_some(descriptor_, data, size);
  if (count < 0) refuse(path_, errno);
  return static_cast<size_t>(count);
}

std::string read_file(const fs::path& path) {
  constexpr size_t kStep = size_t{1} << 16, kAtOnce = size_t{1} << 18;
  const RegularFile file(path);
  std::string text;
  const auto too_large = [&] {
    data_error("cannot read '{}': {} bytes do not fit into memory", path.string(),
               file.status().st_size);
  };
  try {
    // Some files report a size of 0 and are not empty (/proc), some grow.
    text.resize(static_cast<size_t>(file.status().st_size) + 1);
    size_t filled = 0;
    for (size_t count = 0;
         (count = file.read(text.data() + filled, std::min(kAtOnce, text.size() - filled))) > 0;) {
      filled += count;
      if (filled == text.size()) text.resize(text.size() + kStep + text.size() / 2);
    }
    text.resize(filled);
  } catch (const std::bad_alloc&) {
    too_large();
  } catch (const std::length_error&) {
    too_large();
  }
  return text;
}

bool file_exists(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return true;
  const int reason = errno;
  if (reason != ENOENT && reason != ENOTDIR)
    data_error("cannot stat '{}': {}", path.string(), std::strerror(reason));
  if (::lstat(path.c_str(), &status) != 0) return false;
  data_error("'{}' is a link to a missing file (was a cache pruned?)", path.string());
}

std::string read_configuration(const fs::path& path) {
  constexpr size_t kMostBytes = size_t{64} << 20;
  const std::string name = path.string();
  if (name != "/dev/stdin" && !name.starts_with("/dev/fd/") && !name.starts_with("/proc/self/fd/"))
    return read_file(path);
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) refuse(path, errno);
  std::string text;
  char chunk[1 << 16];
  ssize_t count = 0;
  while (text.size() <= kMostBytes && (count = read_some(descriptor, chunk, sizeof chunk)) > 0)
    text.append(chunk, static_cast<size_t>(count));
  const int reason = errno;
  ::close(descriptor);
  if (count < 0) refuse(path, reason);
  if (text.size() > kMostBytes)
    data_error("cannot read '{}': more than {} bytes", name, kMostBytes);
  return text;
}

}  // namespace assay
