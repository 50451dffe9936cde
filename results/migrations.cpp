#include "results/internal/database.h"

namespace assay {
namespace {

constexpr std::string_view kVersion3 = R"(
ALTER TABLE runs ADD COLUMN calibration TEXT
  CHECK (calibration IS NULL OR json_type(calibration) = 'object');
CREATE TABLE statistics (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE CHECK (key <> ''),
  name TEXT NOT NULL CHECK (name <> ''),
  version INTEGER NOT NULL,
  parameters TEXT NOT NULL CHECK (json_type(parameters) = 'object'),
  checkpoint TEXT NOT NULL REFERENCES checkpoints (hash),
  data TEXT NOT NULL CHECK (json_type(data) = 'object'),
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  created_at TEXT NOT NULL,
  wall_s REAL CHECK (wall_s >= 0),
  cpu_s REAL CHECK (cpu_s >= 0),
  device_s REAL CHECK (device_s >= 0),
  peak_rss_bytes INTEGER CHECK (peak_rss_bytes >= 0),
  peak_device_bytes INTEGER CHECK (peak_device_bytes >= 0),
  own_peak_rss_bytes INTEGER CHECK (own_peak_rss_bytes >= 0),
  own_peak_device_bytes INTEGER CHECK (own_peak_device_bytes >= 0),
  flops INTEGER CHECK (flops >= 0),
  bytes_read INTEGER CHECK (bytes_read >= 0),
  bytes_written INTEGER CHECK (bytes_written >= 0),
  examples INTEGER CHECK (examples >= 0),
  gradient_steps INTEGER CHECK (gradient_steps >= 0)
) STRICT;

CREATE TABLE run_statistics (
  run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  statistic INTEGER NOT NULL REFERENCES statistics (id),
  PRIMARY KEY (run, statistic)
) STRICT;
CREATE INDEX run_statistics_statistic ON run_statistics (statistic);

CREATE TABLE searches (
  id INTEGER PRIMARY KEY,
  sweep INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
  expert_set INTEGER NOT NULL REFERENCES expert_sets (id) ON DELETE CASCADE,
  row_name TEXT NOT NULL CHECK (row_name <> ''),
  seed INTEGER NOT NULL,
  algorithm TEXT NOT NULL CHECK (algorithm <> ''),
  budget INTEGER NOT NULL CHECK (budget > 0),
  search_seed INTEGER NOT NULL,
  UNIQUE (sweep, expert_set, row_name, seed)
) STRICT;

CREATE TABLE search_steps (
  search INTEGER NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
  step INTEGER NOT NULL CHECK (step > 0),
  run INTEGER REFERENCES runs (id),
  merit REAL CHECK (abs(merit) < 9e999),
  PRIMARY KEY (search, step)
) STRICT;
CREATE INDEX search_steps_run ON search_steps (run))";

// SQLite has no command that changes a CHECK. Its manual (ALTER TABLE, "Making Other Kinds Of Table
// Schema Changes") allows this for constraints, since no row on the disk changes. The new index
// tells other connections that the schema is another one.
constexpr std::string_view kVersion4 = R"(
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
  SET sql = replace(sql, '''multitask'', ''ensemble'')', '''multitask'', ''ensemble'', ''oracle'')')
  WHERE type = 'table' AND name = 'runs';
PRAGMA writable_schema = RESET;
DROP INDEX runs_method;
CREATE INDEX runs_method ON runs (method, method_version))";

}  // namespace

// Version 1 is the first. A step, once released, never changes; schema.sql always shows the newest
// version. A store that is only read is not changed: the reading code supports older versions too.
std::span<const Migration> migrations() {
  static constexpr Migration kSteps[] = {
      {"costs get the peaks of memory that are the phase's own",
       "ALTER TABLE costs ADD COLUMN own_peak_rss_bytes INTEGER CHECK (own_peak_rss_bytes >= 0);"
       "ALTER TABLE costs ADD COLUMN own_peak_device_bytes INTEGER "
       "CHECK (own_peak_device_bytes >= 0)"},
      {"runs get the data that calibrated them, statistics of such data are stored, and the steps of searches",
       kVersion3},
      {"runs may be of an oracle, which scores each task with its own expert", kVersion4}};
  return kSteps;
}

}  // namespace assay
