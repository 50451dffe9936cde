/// Writing of files whose content is too large to be in memory at once.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace assay {

/// Appends a piece to the file.
using WritePiece = std::function<void(std::string_view piece)>;

/// Atomic, as write_file() of files.h, for content that `produce` gives piece by piece.
void write_pieces(const std::filesystem::path& path,
                  const std::function<void(const WritePiece& write)>& produce);

}  // namespace assay
