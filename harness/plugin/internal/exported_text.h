/// Reads a library's file without opening it as a library, which would run code of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace assay {

/// The text that the exported symbol of an ELF library points to; absent when it has none. `file`:
/// the bytes of it. UserError, beginning with `where`, when these are no library of this machine.
std::optional<std::string> exported_text(std::string_view file, std::string_view symbol,
                                         const std::string& where);

}  // namespace assay
