#include "harness/cli/output_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"

namespace assay::cli {
namespace {

// A pipe, a terminal, or the file that is standard output: written into, never replaced.
bool is_stream(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_fifo(status) || fs::is_character_file(status)) return true;
  struct stat named {
  }, standard{};
  return fs::is_regular_file(status) && ::stat(path.c_str(), &named) == 0 &&
         ::fstat(STDOUT_FILENO, &standard) == 0 && named.st_dev == standard.st_dev &&
         named.st_ino == standard.st_ino;
}

void write_stream(const fs::path& path, const std::string& content) {
  if (fs::is_regular_file(path)) {  // may be open for appending
    fmt::print("{}", content);
    return;
  }
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  out << content;
  out.close();
  if (!out) data_error("cannot write '{}': {}", path.string(), std::strerror(errno));
}

// The path with links resolved: the link's target is written, the link stays.
fs::path checked_path(const fs::path& name, const OutputKind& kind) {
  fs::path path = resolve_output(name);
  const fs::file_status status = fs::status(path);
  if (!fs::exists(status)) return path;
  if (!fs::is_regular_file(status))
    user_error("'{}' is not a file that can be written", name.string());
  if (fs::file_size(path) > 0 && !kind.is_one(path))
    user_error("'{}' exists and is not a {}: it is kept; name another file", name.string(),
               kind.name);
  return path;
}

}  // namespace

void check_output_file(const fs::path& name, const OutputKind& kind) {
  if (!is_stream(name)) checked_path(name, kind);
}

void write_output_file(const fs::path& name, const std::string& content, const OutputKind& kind) {
  if (is_stream(name)) return write_stream(name, content);
  const fs::path path = checked_path(name, kind);
  if (fs::exists(path))
    write_file(path, content);
  else if (!write_new_file(path, content))
    user_error("'{}' appeared meanwhile: it is kept; name another file", name.string());
}

}  // namespace assay::cli
