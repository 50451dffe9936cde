/// Files that commands write and may write again: what others wrote is never replaced.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace assay::cli {

/// A kind of file that a command writes.
struct OutputKind {
  std::string name;  ///< "report of Assay"
  /// Whether a file that is not empty is one of these.
  std::function<bool(const std::filesystem::path&)> is_one;
};

/// UserError when something of that name is there and is neither empty, a stream nor of this kind,
/// and when nothing can have that name. To be asked before the work.
void check_output_file(const std::filesystem::path& name, const OutputKind& kind);

/// Writes whole or not at all, behind links, which stay. Streams (pipes, terminals, devices and
/// what standard output goes to) are written into. Errors as of check_output_file(), also where a
/// file appeared meanwhile; DataError when it cannot be written.
void write_output_file(const std::filesystem::path& name, const std::string& content,
                       const OutputKind& kind);

}  // namespace assay::cli
