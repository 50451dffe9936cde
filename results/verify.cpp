#include "results/verify.h"

#include "harness/core/error.h"
#include "results/internal/database.h"
#include "results/internal/open_store.h"

namespace assay {
namespace {

constexpr size_t kMaxPerKind = 20;

/// A query whose rows are violations, each named by its only column.
struct Rule {
  const char* what;
  const char* sql;
  int since = 1;  ///< the first version of the schema that has what it looks at
};

constexpr Rule kRules[] = {
    {"a successful run has scores",
     "SELECT key FROM runs r WHERE status = 'ok' AND NOT EXISTS "
     "(SELECT 1 FROM scores s WHERE s.run = r.id)"},
    {"a skipped run has no scores",
     "SELECT key FROM runs r WHERE status = 'skipped' AND EXISTS "
     "(SELECT 1 FROM scores s WHERE s.run = r.id)"},
    {"a run has experts, numbered from 0",
     "SELECT key FROM runs r WHERE (SELECT count(*) = 0 OR max(position) <> "
     "count(*) - 1 FROM run_experts x WHERE x.run = r.id)"},
    {"a score has the split of its run",
     "SELECT DISTINCT r.key FROM runs r JOIN scores s ON s.run = r.id WHERE s.split <> r.split"},
    {"a task that is scored has one primary metric",
     "SELECT DISTINCT r.key FROM runs r JOIN scores s ON s.run = "
     "r.id GROUP BY s.run, s.task HAVING sum(s.is_primary) <> 1"},
    {"a placement belongs to a set of its own sweep",
     "SELECT r.key FROM placements p JOIN runs r ON r.id = p.run JOIN expert_sets e ON "
     "e.id = p.expert_set WHERE e.sweep <> p.sweep"},
    {"a task has one current version",
     "SELECT name FROM tasks GROUP BY name HAVING sum(current) <> 1"},
    {"a statistic is of an expert of the run that used it",
     "SELECT DISTINCT r.key FROM run_statistics u JOIN runs r ON r.id = u.run JOIN statistics s ON "
     "s.id = u.statistic WHERE s.checkpoint NOT IN (SELECT checkpoint FROM run_experts x "
     "WHERE x.run = r.id)",
     3},
    {"a run with statistics says which data calibrated it",
     "SELECT DISTINCT r.key FROM run_statistics u JOIN runs r ON r.id = u.run "
     "WHERE r.calibration IS NULL",
     3},
    {"the steps of a search are numbered from 1",
     "SELECT w.row_name FROM searches w JOIN search_steps s ON s.search = w.id GROUP BY w.id "
     "HAVING max(s.step) <> count(*)",
     3},
};

class Verifier {
 public:
  explicit Verifier(const std::filesystem::path& path) : path_(path) {}

  StoreCheck run() {
    attempt("opening it", [&] { database_ = open_for_reading(path_); });
    if (!database_) return std::move(check_);
    attempt("reading its header", [&] { read_header(); });
    attempt("SQLite's check", [&] { add_all("damaged", "PRAGMA integrity_check(100)", "ok"); });
    attempt("foreign keys", [&] {
      add_all("dangling reference",
              "SELECT \"table\" || ' row ' || rowid || ' to ' || parent "
              "FROM pragma_foreign_key_check");
    });
    attempt("counting", [&] {
      check_.sweeps = number("SELECT count(*) FROM sweeps");
      check_.runs = number("SELECT count(*) FROM runs");
      check_.scores = number("SELECT count(*) FROM scores");
    });
    for (const Rule& rule : kRules)
      if (rule.since <= check_.schema_version)
        attempt(rule.what, [&] { add_all(std::string("violated: ") + rule.what, rule.sql); });
    return std::move(check_);
  }

 private:
  int64_t number(const char* sql) { return database_->execAndGet(sql).getInt64(); }

  void read_header() {
    if (number("PRAGMA application_id") != kApplicationId)
      data_error("'{}' is not an Assay results store", path_.string());
    check_.schema_version = static_cast<int>(number("PRAGMA user_version"));
    const int newest = 1 + static_cast<int>(migrations().size());
    if (check_.schema_version < 1 || check_.schema_version > newest)
      check_.problems.push_back(fmt::format("its schema version is {}; this program knows 1 to {}",
                                            check_.schema_version, newest));
  }

  void add_all(const std::string& what, const std::string& sql, const std::string& sound = "") {
    SQLite::Statement row(*database_, sql);
    size_t found = 0;
    while (row.executeStep()) {
      const std::string text = row.getColumn(0).getString();
      if (!sound.empty() && text == sound) continue;
      if (++found <= kMaxPerKind) check_.problems.push_back(fmt::format("{}: {}", what, text));
    }
    if (found > kMaxPerKind)
      check_.problems.push_back(fmt::format("{}: {} more of this kind", what, found - kMaxPerKind));
  }

  template <typename Work>
  void attempt(const char* what, Work&& work) {
    try {
      work();
    } catch (const SQLite::Exception& e) {
      check_.problems.push_back(fmt::format("{}: {}", what, e.what()));
    }
  }

  std::filesystem::path path_;
  std::unique_ptr<SQLite::Database> database_;
  StoreCheck check_;
};

}  // namespace

StoreCheck verify_store(const std::filesystem::path& path) { return Verifier(path).run(); }

}  // namespace assay
