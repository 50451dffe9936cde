/// Standard input, output and error, which may be closed, full or broken.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// Opens those of the descriptors 0 to 2 that are closed, so that no file of this process gets
/// their numbers. Writing to them still fails. To be called before anything is opened.
void hold_standard_descriptors();

/// Never throws: what cannot be written to standard error is lost.
void write_standard_error(std::string_view text) noexcept;

/// After the end of standard input: DataError when it was an error and no end.
void check_standard_input();

/// Writes out what waits for standard output. Why not all that was printed has arrived; empty when
/// it has.
std::string finish_standard_output();

}  // namespace assay
