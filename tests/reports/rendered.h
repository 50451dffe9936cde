/// Reads reports of fake results back.
#pragma once

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "reports/internal/leaderboard.h"
#include "results/store.h"
#include "tests/catch.h"

/// Fields by column name of the CSV line of `row`; the fake results need no quoting.
inline std::map<std::string, std::string> csv_line(const std::string& csv, const std::string& row) {
  const auto split = [](const std::string& line) {
    std::vector<std::string> fields(1);
    for (const char c : line) {
      if (c == ',')
        fields.emplace_back();
      else if (c != '\r')
        fields.back() += c;
    }
    return fields;
  };
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  const auto names = split(line);
  std::map<std::string, std::string> found;
  while (std::getline(lines, line)) {
    const auto fields = split(line);
    REQUIRE(fields.size() == names.size());
    if (fields[0] == row)
      for (size_t i = 0; i < names.size(); ++i) found[names[i]] = fields[i];
  }
  return found;
}

inline const assay::Json& json_row(const assay::Json& report, const std::string& label) {
  for (const assay::Json& row : report["rows"])
    if (row["label"] == label) return row;
  throw std::runtime_error("no row " + label);
}

inline const assay::LeaderboardRow& board_row(const assay::Leaderboard& board,
                                              const std::string& label) {
  for (const assay::LeaderboardRow& row : board.rows)
    if (row.label() == label) return row;
  throw std::runtime_error("no row " + label);
}

/// Whether one of the sentences holds this part.
inline bool says(const std::vector<std::string>& sentences, const std::string& part) {
  return std::any_of(sentences.begin(), sentences.end(), [&](const std::string& sentence) {
    return sentence.find(part) != std::string::npos;
  });
}
