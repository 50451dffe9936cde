// The searches of sweeps, step by step.
#include <bit>

#include "results/internal/rows.h"
#include "results/internal/store_impl.h"

namespace assay {
namespace {

constexpr int kSearchesVersion = 3;

}  // namespace

void Store::put_search(int64_t sweep, const SearchRecord& search) {
  Database& database = impl_->database;
  database.transaction(fmt::format("writing the search of '{}'", search.row), [&] {
    const auto set = database.find_id("SELECT id FROM expert_sets WHERE sweep = ? AND name = ?",
                                      sweep, search.set);
    if (!set) data_error("the sweep has no expert set '{}'", search.set);
    const auto seed = std::bit_cast<int64_t>(search.seed);
    database.execute(
        "DELETE FROM searches WHERE sweep = ? AND expert_set = ? AND row_name = ? AND seed = ?",
        sweep, *set, search.row, seed);
    const int64_t id = *database.find_id(
        "INSERT INTO searches (sweep, expert_set, row_name, seed, algorithm, budget, search_seed) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        sweep, *set, search.row, seed, search.algorithm, search.budget,
        std::bit_cast<int64_t>(search.search_seed));
    for (size_t i = 0; i < search.steps.size(); ++i) {
      const SearchRecord::Step& step = search.steps[i];
      const auto run = database.find_id("SELECT id FROM runs WHERE key = ?", step.key);
      if (!run && !step.key.empty()) data_error("there is no run '{}'", step.key);
      database.execute("INSERT INTO search_steps VALUES (?, ?, ?, ?)", id,
                       static_cast<int64_t>(i) + 1, run, step.merit);
    }
  });
}

std::vector<SearchRecord> read_searches(Database& database, int64_t sweep) {
  std::vector<SearchRecord> searches;
  if (database.version() < kSearchesVersion) return searches;
  std::vector<int64_t> ids;
  auto& row = database.query(
      "SELECT w.id, s.name, w.row_name, w.seed, w.algorithm, w.budget, w.search_seed "
      "FROM searches w JOIN expert_sets s ON s.id = w.expert_set WHERE w.sweep = ? "
      "ORDER BY s.position, w.id",
      sweep);
  while (row.executeStep()) {
    ids.push_back(row.getColumn(0).getInt64());
    searches.push_back({row.getColumn(1).getString(),
                        row.getColumn(2).getString(),
                        std::bit_cast<uint64_t>(row.getColumn(3).getInt64()),
                        row.getColumn(4).getString(),
                        row.getColumn(5).getInt64(),
                        std::bit_cast<uint64_t>(row.getColumn(6).getInt64()),
                        {}});
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    auto& step = database.query(
        "SELECT r.key, s.merit FROM search_steps s LEFT JOIN runs r ON r.id = s.run "
        "WHERE s.search = ? ORDER BY s.step",
        ids[i]);
    while (step.executeStep()) {
      SearchRecord::Step read{step.getColumn(0).getString(), {}};
      if (!step.getColumn(1).isNull()) read.merit = step.getColumn(1).getDouble();
      searches[i].steps.push_back(std::move(read));
    }
  }
  return searches;
}

void delete_unplaced_searches(Database& database, int64_t sweep) {
  database.execute(
      "DELETE FROM searches WHERE sweep = ? AND EXISTS (SELECT 1 FROM search_steps s WHERE "
      "s.search = searches.id AND s.run IS NOT NULL AND NOT EXISTS (SELECT 1 FROM placements p "
      "WHERE p.run = s.run AND p.sweep = searches.sweep AND p.expert_set = searches.expert_set "
      "AND p.row_name = searches.row_name AND p.variant = 'grid'))",
      sweep);
}

}  // namespace assay
