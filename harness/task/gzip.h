/// Decompression of gzip files.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// Whether the content starts with the magic bytes of gzip.
bool is_gzip(std::string_view content);

/// The decompressed content, all members concatenated. DataError naming `where` when it is damaged,
/// ends too early or has trailing bytes.
std::string gunzip(std::string_view compressed, const std::string& where);

}  // namespace assay
