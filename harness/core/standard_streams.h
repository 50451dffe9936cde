/// Standard input, output and error, which may be closed, full or broken.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// Opens those of the descriptors 0 to 2 that are closed, so that no file of this process gets
/// their numbers. Writing to them still fails. Call it before anything is opened.
void reserve_standard_descriptors();

/// Never throws: text that cannot be written to standard error is lost.
void write_standard_error(std::string_view text) noexcept;

/// Call it at the end of standard input: DataError when reading stopped at an error.
void check_standard_input();

/// Flushes standard output, and has the file system report late errors. Returns why not all output
/// was written; empty when it was.
std::string finish_standard_output();

}  // namespace assay
