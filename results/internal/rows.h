/// Conversion between records and table rows, for reading and writing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "results/internal/database.h"
#include "results/records.h"

namespace assay {

/// JSON text; bytes that are not UTF-8 become replacement characters.
std::string json_text(const Json& json);
/// Outcomes as a JSON list: integers without a fraction, others as the shortest text that reads
/// back as the same float.
std::string outcomes_text(const std::vector<double>& outcomes);
/// An empty string is stored as NULL.
std::optional<std::string> text_or_null(const std::string& text);

/// The column `config` of a sweep: the sweep file and, under a key that sweep files cannot have,
/// the files that its names resolved to.
Json config_column(const SweepRecord& sweep);
/// Sets the members `config` and `found` from that column.
void read_config_column(Json column, SweepRecord& sweep);

/// The run's row, experts, statistics, costs and scores.
RunRecord read_run(Database& database, int64_t id, bool with_outcomes);
/// The statistics that runs of the sweep used.
std::vector<StatisticRecord> read_statistics(Database& database, int64_t sweep);
/// The searches of a sweep; none in a store of a version without them.
std::vector<SearchRecord> read_searches(Database& database, int64_t sweep);
/// Deletes searches of the sweep with a run that is not placed in their row's grid.
void delete_unplaced_searches(Database& database, int64_t sweep);
/// Store::load_sweep().
struct SweepResults;
SweepResults read_sweep(Database& database, const std::string& name);
Environment read_environment(Database& database, int64_t id);

}  // namespace assay
