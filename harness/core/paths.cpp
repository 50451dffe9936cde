#include "harness/core/paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "harness/core/error.h"
#include "harness/core/text_encoding.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

// The most that a temporary name adds to a name: '.', ".unfinished.lock" or ".tmpPID-NUMBER".
constexpr long kTemporaryBytes = 32;
constexpr long kUsualLimit = 255;

fs::path without_slash(const fs::path& path) {
  return path.has_filename() || !path.has_relative_path() ? path : path.parent_path();
}

fs::path resolve(const fs::path& path, const fs::path& asked) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::error_code error;
  if (path_exists(path)) {
    fs::path found = fs::canonical(path, error);
    if (error) data_error("cannot write '{}': {}", asked.string(), error.message());
    return found;
  }
  if (fs::is_symlink(fs::symlink_status(path, error)))
    user_error("cannot write '{}': '{}' is a link to '{}', which does not exist", asked.string(),
               path.string(), fs::read_symlink(path, error).string());
  const fs::path name = path.filename();
  if (name.empty() || name == "." || name == "..")
    user_error("cannot write '{}': there is no folder '{}'", asked.string(), parent.string());
  const fs::path folder = resolve(parent, asked);
  if (path_exists(folder) && !fs::is_directory(folder, error))
    data_error("cannot write '{}': '{}' is not a folder", asked.string(), folder.string());
  return folder / name;
}

}  // namespace

bool path_exists(const fs::path& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  if (error) user_error("cannot open '{}': {}", path.string(), error.message());
  return found;
}

fs::path plain_path(const fs::path& path) {
  fs::path whole = fs::absolute(path);
  std::error_code missing, elsewhere;
  const fs::path real = fs::canonical(whole, missing);
  if (missing) return whole;
  fs::path normal = without_slash(whole.lexically_normal());
  return fs::canonical(normal, elsewhere) == real ? normal : real;
}

fs::path resolve_output(const fs::path& path) {
  if (path.empty()) user_error("the name of the output is empty");
  fs::path place = resolve(without_slash(fs::absolute(path)), path);
  fs::path there = place.parent_path();
  std::error_code error;
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  const long found = ::pathconf(there.c_str(), _PC_NAME_MAX);
  const long limit = (found > 0 ? found : kUsualLimit) - kTemporaryBytes;
  if (std::ssize(place.filename().native()) > limit)
    user_error("the output's name '{}' has {} bytes; here {} are allowed",
               place.filename().string(), place.filename().native().size(), limit);
  return place;
}

bool is_within(const fs::path& path, const fs::path& folder) {
  return std::mismatch(path.begin(), path.end(), folder.begin(), folder.end()).second ==
         folder.end();
}

bool is_mount_point(const fs::path& folder) {
  struct statx status {};
  if (::statx(AT_FDCWD, folder.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status) != 0)
    return false;
  if (status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
    return status.stx_attributes & STATX_ATTR_MOUNT_ROOT;
  struct stat own {
  }, above{};  // kernels before 5.8
  return ::stat(folder.c_str(), &own) == 0 && ::stat((folder / "..").c_str(), &above) == 0 &&
         (own.st_dev != above.st_dev || own.st_ino == above.st_ino);
}

std::string utf8_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8Part part = utf8_part(bytes);
    text += part.whole ? std::string(bytes.substr(0, part.size))
                       : fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes.front()));
    bytes.remove_prefix(part.whole ? part.size : 1);
  }
  return text;
}

}  // namespace assay
