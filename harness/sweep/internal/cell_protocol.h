/// What a sweep and its worker processes say to each other: lines of JSON objects, each with the
/// version of the protocol and, where plugins are loaded, their hashes. {"protocol": 5, "plugins":
/// ["..."], "cell": {...}} is answered by {"protocol": 5, "plugins": ["..."], "result": {...}}, and
/// "statistic": {...} by "error": "why it failed".
#pragma once

#include <string>
#include <variant>

#include "harness/core/error.h"
#include "harness/sweep/cell.h"

namespace assay {

/// To be raised with any change of the lines.
inline constexpr int64_t kCellProtocol = 5;

/// A line is of another version of the protocol, or of none, or of a process with other plugins.
/// what() says both versions.
struct OtherProtocol : DataError {
  using DataError::DataError;
};

std::string cell_to_line(const Cell& cell);
std::string result_to_line(const RunRecord& record);
std::string statistic_to_line(const StatisticJob& job);
/// "": it is in its file.
std::string statistic_error_to_line(const std::string& error);
/// A worker's answer to a line of another version, or of a process with other plugins.
std::string refusal_line();

/// OtherProtocol, which happens when the program or a plugin is replaced under a sweep; DataError
/// when the line holds no such object.
std::variant<Cell, StatisticJob> work_from_line(const std::string& line);
/// The record of `cell`, which the line answers. Errors likewise.
RunRecord result_from_line(const Cell& cell, const std::string& line);
std::string statistic_error_from_line(const std::string& line);

}  // namespace assay
