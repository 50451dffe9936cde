/// What a sweep and its worker processes say to each other: lines of JSON objects, each with the
/// version of the protocol, {"protocol": 1, "cell": {...}} and {"protocol": 1, "result": {...}}.
#pragma once

#include <string>

#include "harness/core/error.h"
#include "harness/sweep/cell.h"

namespace assay {

/// To be raised with any change of the lines.
inline constexpr int64_t kCellProtocol = 1;

/// A line is of another version of the protocol, or of none. what() says both versions.
struct OtherProtocol : DataError {
  using DataError::DataError;
};

std::string cell_to_line(const Cell& cell);
std::string result_to_line(const RunRecord& record);
/// A worker's answer to a line of another version.
std::string refusal_line();

/// OtherProtocol, which happens when the program is replaced under a sweep; DataError when the line
/// holds no such object.
Cell cell_from_line(const std::string& line);
/// The record of `cell`, which the line answers. Errors likewise.
RunRecord result_from_line(const Cell& cell, const std::string& line);

}  // namespace assay
