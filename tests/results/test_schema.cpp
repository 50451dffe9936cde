#include <fstream>

#include "harness/core/error.h"
#include "reports/report.h"
#include "results/internal/database.h"
#include "results/verify.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const int kNewest = 1 + static_cast<int>(migrations().size());

void execute(const std::filesystem::path& path, const std::string& sql) {
  SQLite::Database database(path.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  database.exec(sql);
}

std::vector<std::string> columns(const std::filesystem::path& path, const std::string& table) {
  SQLite::Database database(path.string());
  SQLite::Statement row(database, "SELECT name || ' ' || type FROM pragma_table_info(?)");
  row.bind(1, table);
  std::vector<std::string> columns;
  while (row.executeStep()) columns.push_back(row.getColumn(0).getString());
  return columns;
}

/// Every table with its columns, every index.
std::vector<std::string> schema_of(const std::filesystem::path& path) {
  SQLite::Database database(path.string());
  SQLite::Statement row(database,
                        "SELECT type || ' ' || name FROM sqlite_master "
                        "WHERE name NOT LIKE 'sqlite_%' ORDER BY 1");
  std::vector<std::string> schema;
  while (row.executeStep()) {
    schema.push_back(row.getColumn(0).getString());
    const auto of_table = columns(path, schema.back().substr(schema.back().find(' ') + 1));
    schema.insert(schema.end(), of_table.begin(), of_table.end());
  }
  return schema;
}

int pragma(const std::filesystem::path& path, const std::string& name) {
  SQLite::Database database(path.string());
  return database.execAndGet("PRAGMA " + name).getInt();
}

}  // namespace

TEST_CASE("A new store has its application id and schema version, and a write-ahead log",
          "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  Store::open(path);

  CHECK(pragma(path, "application_id") == kApplicationId);
  CHECK(pragma(path, "user_version") == 1 + static_cast<int>(migrations().size()));
  SQLite::Database database(path.string());
  CHECK(database.execAndGet("PRAGMA journal_mode").getString() == "wal");
  CHECK(database
            .execAndGet("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND "
                        "type = 'table' AND name NOT LIKE 'sqlite_%' AND NOT strict")
            .getInt() == 0);
}

TEST_CASE("Files that are not an Assay store are rejected and not changed", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "other";
  SECTION("some text") {
    std::ofstream(path) << "This is certainly no database, whatever its name says. It is long "
                           "enough to hold a header of a hundred bytes and more.";
  }
  SECTION("another program's database") { execute(path, "CREATE TABLE theirs (x)"); }
  std::ifstream before(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(before), {}};

  CHECK_THROWS_AS(Store::open(path), DataError);
  CHECK_THROWS_AS(Store::open_read_only(path), DataError);
  CHECK_THROWS_WITH(Store::open(path), Contains("other"));

  std::ifstream after(path, std::ios::binary);
  CHECK(std::string{std::istreambuf_iterator<char>(after), {}} == content);
}

TEST_CASE("A store that cannot be created or does not exist is a clear error", "[results]") {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";

  CHECK_THROWS_AS(Store::open(folder.path() / "file" / "r.sqlite"), DataError);
  CHECK_THROWS_AS(Store::open(folder.path()), DataError);
  CHECK_THROWS_WITH(Store::open_read_only(folder.path() / "none.sqlite"), Contains("no such file"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "none.sqlite"));
}

TEST_CASE("A store of a newer or an invalid schema is rejected", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  Store::open(path);

  execute(path, "PRAGMA user_version = 99");
  CHECK_THROWS_WITH(Store::open(path), Contains("schema version 99") && Contains("newer Assay"));
  CHECK_THROWS_AS(Store::open_read_only(path), DataError);
  execute(path, "PRAGMA user_version = 0");
  CHECK_THROWS_WITH(Store::open(path), Contains("which no Assay has written"));
}

TEST_CASE("Migrations convert any older version to the newest", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  fill_store(path, fake::results());
  const Migration steps[] = {
      {"runs get a note", "ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT 'old'"},
      {"notes are shouted", "UPDATE runs SET note = upper(note)"}};
  SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
  database.exec("PRAGMA user_version = 1");

  migrate(database, steps);

  CHECK(database.execAndGet("PRAGMA user_version").getInt() == 3);
  CHECK(database.execAndGet("SELECT count(*) FROM runs WHERE note = 'OLD'").getInt() == 4);
}

TEST_CASE("A migration that starts in the middle runs only the later steps", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  Store::open(path);
  const Migration steps[] = {{"would fail", "DROP TABLE no_such_table"},
                             {"a table", "CREATE TABLE later (x INTEGER) STRICT"}};
  SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
  database.exec("PRAGMA user_version = 2");

  migrate(database, steps);

  CHECK(database.tableExists("later"));
}

TEST_CASE("A migration that fails changes nothing", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  Store::open(path);
  const Migration steps[] = {{"a table", "CREATE TABLE later (x INTEGER) STRICT"},
                             {"fails", "DROP TABLE no_such_table"}};
  SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
  database.exec("PRAGMA user_version = 1");

  CHECK_THROWS(migrate(database, steps));

  CHECK_FALSE(database.tableExists("later"));
  CHECK(database.execAndGet("PRAGMA user_version").getInt() == 1);
}

TEST_CASE("A store of version 1 gets its columns and keeps what it holds", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite", fresh = folder.path() / "new.sqlite";
  SweepResults results = fake::results();
  results.runs[3].run.costs.at("merge").peak_rss_bytes = 4'000;
  fill_store(path, results);
  make_version_1(path);
  Store::open(fresh);

  Store store = Store::open(path);

  CHECK(pragma(path, "user_version") == kNewest);
  CHECK(columns(path, "costs") == columns(fresh, "costs"));
  const Cost old = store.find_run("k-average")->costs.at("merge");
  CHECK(*old.wall_s == 1.5);
  CHECK(*old.peak_rss_bytes == 4'000);
  CHECK_FALSE(old.own_peak_rss_bytes);
  CHECK_FALSE(old.own_peak_device_bytes);
  RunRecord run = results.runs[3].run;
  run.key = "k-later";
  run.costs.at("merge").own_peak_rss_bytes = 600;
  run.costs.at("merge").own_peak_device_bytes = 70;
  REQUIRE(store.put_run(run, results.environments[0]));
  const Cost later = store.find_run("k-later")->costs.at("merge");
  CHECK(*later.peak_rss_bytes == 4'000);
  CHECK(*later.own_peak_rss_bytes == 600);
  CHECK(*later.own_peak_device_bytes == 70);
  CHECK(*later.flops == 1000);
}

TEST_CASE("A store that version 2 wrote is upgraded in place and keeps what it holds",
          "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite", fresh = folder.path() / "new.sqlite";
  std::ifstream in(std::filesystem::path(ASSAY_TESTS_FOLDER) / "results/version_2.sql");
  execute(path, {std::istreambuf_iterator<char>(in), {}});
  const SweepResults before = Store::open_read_only(path).load_sweep("");
  REQUIRE(pragma(path, "user_version") == 2);
  REQUIRE(verify_store(path).problems.empty());
  Store::open(fresh);

  Store store = Store::open(path);

  CHECK(pragma(path, "user_version") == kNewest);
  CHECK(schema_of(path) == schema_of(fresh));
  CHECK(verify_store(path).problems.empty());
  const SweepResults after = store.load_sweep("quickstart");
  CHECK(render_report(after, ReportFormat::kJson) == render_report(before, ReportFormat::kJson));
  CHECK(after.runs.size() == 16);
  CHECK(after.statistics.empty());
  const auto average = store.find_run("77cbd2ed331d75dfe4e6271e76adb17d");
  REQUIRE(average);
  CHECK(average->calibration.is_null());
  CHECK(average->statistics.empty());
  CHECK(*average->costs.at("merge").bytes_read == 633456);
  // What version 2 could not hold.
  store.put_statistic({"key",
                       "input_gram",
                       1,
                       {{"storage", "float32"}},
                       average->experts[0],
                       {{"split", "validation"}},
                       4096,
                       {}});
  RunRecord run = *average;
  run.key = "later";
  run.calibration = {{"split", "validation"}};
  run.statistics = {"key"};
  REQUIRE(store.put_run(run, after.environments[0]));
  CHECK(store.find_run("later")->statistics == std::vector<std::string>{"key"});
  // What version 3 could not hold.
  RunRecord oracle = *store.find_run("later");
  oracle.key = "oracle";
  oracle.kind = RunKind::kOracle;
  oracle.method.clear();
  oracle.method_version = 0;
  REQUIRE(store.put_run(oracle, after.environments[0]));
  CHECK(store.find_run("oracle")->kind == RunKind::kOracle);
  CHECK(verify_store(path).problems.empty());
}

TEST_CASE("A migration that another process has made is not made again", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  fill_store(path, fake::results());
  make_version_1(path);
  SQLite::Database first(path.string(), SQLite::OPEN_READWRITE);
  SQLite::Database second(path.string(), SQLite::OPEN_READWRITE);

  migrate(first, migrations());
  migrate(second, migrations());

  CHECK(pragma(path, "user_version") == kNewest);
}

TEST_CASE("A store of version 1 is reported on as it is", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  SweepResults results = fake::results();
  results.runs[3].run.costs.at("merge").peak_rss_bytes = 4'000;
  results.runs[3].run.costs.at("merge").own_peak_rss_bytes = 600;
  fill_store(path, results);
  make_version_1(path);

  const SweepResults read = Store::open_read_only(path).load_sweep("");

  CHECK(pragma(path, "user_version") == 1);
  const Json report = Json::parse(render_report(read, ReportFormat::kJson));
  int rows = 0;
  for (const Json& row : report.at("rows")) {
    if (row.at("label") != "average (default)") continue;
    ++rows;
    CHECK(row.at("costs").at("merge").at("wall_s") == 2.0);
    CHECK(row.at("costs").at("merge").at("peak_rss_bytes") == 4'000);
    CHECK(row.at("costs").at("merge").at("own_peak_rss_bytes").is_null());
    CHECK(row.at("cost_texts").at("merge").at("own_peak_rss_bytes") == "n/a");
  }
  CHECK(rows == 1);
  CHECK(render_report(read, ReportFormat::kMarkdown).find("| n/a |") != std::string::npos);
}

TEST_CASE("Every query of the README runs and finds something", "[results]") {
  TemporaryFolder folder;
  const auto path = folder.path() / "r.sqlite";
  SweepResults results = fake::results();
  auto& failed = fake::add_average(results, "k-failed", {"s", "broken", "default"});
  failed.run.status = RunStatus::kFailed;
  failed.run.reason = "NaN in 'w'";
  failed.run.scores.clear();
  fake::add_average(results, "k-average", {"s", "average", "tuned"});
  auto& grid = fake::add_average(results, "k-grid", {"s", "average", "grid"});
  grid.run.split = "validation";
  for (ScoreRecord& score : grid.run.scores) score.split = "validation";
  fake::add_average(results, "k-task-arithmetic", {"s", "task_arithmetic", "default"});
  results.statistics = {{"s-1", "input_gram", 1, Json::object(), "h1", Json::object(), 8, {}}};
  auto& regmean = fake::add_average(results, "k-regmean", {"s", "regmean", "default"});
  regmean.run.calibration = {{"split", "validation"}, {"examples", 256}};
  regmean.run.statistics = {"s-1"};
  results.searches = {{"s", "average", 0, "random", 1, 0, {{"k-grid", 0.5}}}};
  fill_store(path, results);
  std::ifstream in(std::filesystem::path(ASSAY_TESTS_FOLDER).parent_path() / "results/README.md");
  const std::string readme{std::istreambuf_iterator<char>(in), {}};
  SQLite::Database database(path.string());

  int queries = 0;
  const std::string fence = "```sql\n";
  for (size_t at = readme.find(fence); at != std::string::npos; at = readme.find(fence, at)) {
    at += fence.size();
    const std::string sql = readme.substr(at, readme.find("```", at) - at);
    INFO(sql);
    SQLite::Statement query(database, sql);
    CHECK(query.executeStep());
    ++queries;
  }
  CHECK(queries >= 6);
}
