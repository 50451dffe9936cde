/// Files compressed by gzip.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// Whether the content is compressed, by its first bytes.
bool is_gzip(std::string_view content);

/// The content unpacked, all members one after the other. DataError naming `where` when it is
/// damaged, ends too early or goes on with something else.
std::string gunzip(std::string_view compressed, const std::string& where);

}  // namespace assay
