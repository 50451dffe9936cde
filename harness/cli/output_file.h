/// Output files of commands. A command replaces only files of its own kind.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace assay::cli {

/// A kind of file that a command writes.
struct OutputKind {
  std::string name;  ///< "report of Assay"
  /// Whether a non-empty file is of this kind.
  std::function<bool(const std::filesystem::path&)> is_one;
};

/// UserError when the path exists and is neither empty, a stream nor of this kind, and when it
/// cannot be created. Call it before the work.
void check_output_file(const std::filesystem::path& name, const OutputKind& kind);

/// Writes atomically, to a link's target. Streams (pipes, terminals, devices and the file that is
/// standard output) are written into. Errors as of check_output_file(), also when a file appeared
/// in the meantime; DataError when it cannot be written.
void write_output_file(const std::filesystem::path& name, const std::string& content,
                       const OutputKind& kind);

}  // namespace assay::cli
