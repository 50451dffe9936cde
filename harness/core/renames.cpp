#include "harness/core/renames.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "harness/core/error.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

int rename2(const fs::path& from, const fs::path& to, unsigned flags) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0 ? 0 : errno;
}

// For file systems without RENAME_NOREPLACE: it replaces only an empty folder that it created
// itself.
int rename_onto_placeholder(const fs::path& from, const fs::path& to) {
  constexpr mode_t kMode = 0755;
  if (!fs::is_directory(fs::symlink_status(from))) {
    if (::link(from.c_str(), to.c_str()) != 0) return errno;
    return ::unlink(from.c_str()) == 0 ? 0 : errno;
  }
  if (::mkdir(to.c_str(), kMode) != 0) return errno;
  if (::rename(from.c_str(), to.c_str()) == 0) return 0;
  const int reason = errno;
  ::rmdir(to.c_str());  // fails when another process has put something in it
  return reason;
}

bool unknown_flag(int reason) {
  return reason == EINVAL || reason == ENOSYS || reason == EOPNOTSUPP;
}

}  // namespace

bool rename_noreplace(const fs::path& from, const fs::path& to) {
  int reason = rename2(from, to, RENAME_NOREPLACE);
  if (unknown_flag(reason)) reason = rename_onto_placeholder(from, to);
  if (reason == EEXIST || reason == ENOTEMPTY) return false;
  if (reason != 0)
    data_error("cannot rename '{}' to '{}': {}", from.string(), to.string(), std::strerror(reason));
  return true;
}

void exchange_names(const fs::path& a, const fs::path& b) {
  if (const int reason = rename2(a, b, RENAME_EXCHANGE); reason != 0)
    data_error("cannot swap '{}' and '{}': {}", a.string(), b.string(), std::strerror(reason));
}

bool can_exchange_names(const fs::path& path) {
  const fs::path a = path.string() + ".a", b = path.string() + ".b";
  std::error_code ignored;
  fs::create_directory(a, ignored);
  fs::create_directory(b, ignored);
  const bool known = !unknown_flag(rename2(a, b, RENAME_EXCHANGE));
  fs::remove(a, ignored);
  fs::remove(b, ignored);
  return known;
}

}  // namespace assay
