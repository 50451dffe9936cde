/// Checks a store for damage, without changing it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace assay {

struct StoreCheck {
  std::vector<std::string> problems;  ///< one sentence each; empty: the store is sound
  int schema_version = 0;
  int64_t sweeps = 0, runs = 0, scores = 0;  ///< row counts
};

/// Runs SQLite's integrity check of every page, index and constraint, and checks foreign keys, the
/// schema's version, that every run has the scores that its status requires, every score the split
/// of its run, and every placement a set of its own sweep. DataError when the file does not exist
/// or is not an Assay store.
StoreCheck verify_store(const std::filesystem::path& path);

}  // namespace assay
