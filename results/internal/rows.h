/// How records and table rows turn into each other; shared by the store's writing and reading
/// halves.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "results/internal/database.h"
#include "results/records.h"

namespace assay {

/// JSON text; bytes that are no UTF-8 become replacement characters.
std::string json_text(const Json& json);
/// Outcomes as a JSON list: whole numbers without a fraction, others with the fewest digits that
/// give the same float again.
std::string outcomes_text(const std::vector<float>& outcomes);
/// An empty string is stored as NULL.
std::optional<std::string> text_or_null(const std::string& text);

/// The run's row, experts, costs and scores.
RunRecord read_run(Database& database, int64_t id, bool with_outcomes);
/// Store::load_sweep().
struct SweepResults;
SweepResults read_sweep(Database& database, const std::string& name);
Environment read_environment(Database& database, int64_t id);

}  // namespace assay
