/// Shared by the tests of the store.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <string>

#include "results/store.h"

/// Puts everything of `results` into the store at `path`, as a finished sweep.
inline void fill_store(const std::filesystem::path& path, const assay::SweepResults& results) {
  assay::Store store = assay::Store::open(path);
  for (const auto& checkpoint : results.checkpoints) store.put_checkpoint(checkpoint);
  for (const auto& task : results.tasks) store.put_task(task);
  for (const auto& method : results.methods) store.put_method(method);
  for (const auto& statistic : results.statistics) store.put_statistic(statistic);
  const int64_t sweep = store.put_sweep(results.sweep);
  std::vector<assay::PlacedKey> places;
  for (const auto& placed : results.runs) {
    if (!store.find_run(placed.run.key))
      store.put_run(placed.run, results.environments.at(placed.environment));
    places.push_back({placed.run.key, placed.placement});
  }
  store.place_runs(sweep, places);
  for (const auto& search : results.searches) store.put_search(sweep, search);
  store.finish_sweep(sweep, places, assay::SweepEnd::kChanged);
}

/// Makes the store what the second version of the schema was.
inline void make_version_2(const std::filesystem::path& path) {
  SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
  database.exec("DROP TABLE search_steps");
  database.exec("DROP TABLE searches");
  database.exec("DROP TABLE run_statistics");
  database.exec("DROP TABLE statistics");
  database.exec("ALTER TABLE runs DROP COLUMN calibration");
  database.exec("PRAGMA user_version = 2");
}

/// Makes the store what the first version of the schema was.
inline void make_version_1(const std::filesystem::path& path) {
  make_version_2(path);
  SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
  database.exec("ALTER TABLE costs DROP COLUMN own_peak_rss_bytes");
  database.exec("ALTER TABLE costs DROP COLUMN own_peak_device_bytes");
  database.exec("PRAGMA user_version = 1");
}

inline std::string integrity(const std::filesystem::path& path) {
  SQLite::Database database(path.string(), SQLite::OPEN_READONLY);
  return database.execAndGet("PRAGMA integrity_check").getString();
}
