/// Looks a store through for damage, without changing it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace assay {

struct StoreCheck {
  std::vector<std::string> problems;  ///< one sentence each; empty: the store is sound
  int schema_version = 0;
  int64_t sweeps = 0, runs = 0, scores = 0;  ///< how many there are
};

/// SQLite's own check of every page, index and constraint; foreign keys; the schema's version; that
/// every run has what its status promises, every score the split of its run, and every place a set
/// of its own sweep. DataError when the file is not there or is no Assay store.
StoreCheck verify_store(const std::filesystem::path& path);

}  // namespace assay
