#include "results/verify.h"

#include <fstream>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

class FilledStore {
 public:
  FilledStore() { fill_store(path(), fake::results()); }
  std::filesystem::path path() const { return folder_.path() / "r.sqlite"; }
  void execute(const std::string& sql) const {
    SQLite::Database database(path().string(), SQLite::OPEN_READWRITE);
    database.exec("PRAGMA foreign_keys = OFF");
    database.exec(sql);
  }
  /// Overwrites the pages of the file from the third on.
  void damage() const {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path()));
    file.seekp(8192);
    for (std::streamoff at = 8192; at < size; ++at) file.put('\x5a');
  }
  std::string content() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// The only problem found.
  std::string problem() const {
    const StoreCheck check = verify_store(path());
    REQUIRE(check.problems.size() == 1);
    return check.problems[0];
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("An undamaged store has no problems, and its rows are counted", "[results]") {
  const FilledStore store;

  const StoreCheck check = verify_store(store.path());

  CHECK(check.problems.empty());
  CHECK(check.sweeps == 1);
  CHECK(check.runs == 4);
  CHECK(check.scores == 12);
}

TEST_CASE("Damage in a store is reported", "[results]") {
  const FilledStore store;
  SECTION("a successful run without scores") {
    store.execute("DELETE FROM scores WHERE run = (SELECT id FROM runs WHERE key = 'k-base')");
    CHECK_THAT(store.problem(), Contains("has scores") && Contains("k-base"));
  }
  SECTION("a dangling reference") {
    store.execute("DELETE FROM checkpoints WHERE hash = 'h0'");
    CHECK_FALSE(verify_store(store.path()).problems.empty());
    CHECK_THAT(verify_store(store.path()).problems[0],
               Contains("dangling reference") && Contains("checkpoints"));
  }
  SECTION("a gap among the experts") {
    store.execute(
        "DELETE FROM run_experts WHERE position = 0 AND run = "
        "(SELECT id FROM runs WHERE key = 'k-average')");
    CHECK_THAT(store.problem(), Contains("experts") && Contains("k-average"));
  }
  SECTION("a statistic of an expert that the run did not merge") {
    store.execute(
        "INSERT INTO statistics (key, name, version, parameters, checkpoint, data, bytes, "
        "created_at) VALUES ('s-0', 'input_gram', 1, '{}', 'h0', '{}', 8, '');"
        "INSERT INTO run_statistics SELECT r.id, s.id FROM runs r, statistics s "
        "WHERE r.key = 'k-average'");
    const StoreCheck check = verify_store(store.path());
    REQUIRE(check.problems.size() == 2);
    CHECK_THAT(check.problems[0], Contains("of an expert of the run") && Contains("k-average"));
    CHECK_THAT(check.problems[1], Contains("calibrated") && Contains("k-average"));
  }
  SECTION("an index that lacks a row") {
    store.execute(
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, "
        "'method_version)', 'method)') WHERE name = 'runs_method'");
    CHECK_FALSE(verify_store(store.path()).problems.empty());
  }
  SECTION("a newer schema") {
    store.execute("PRAGMA user_version = 99");
    CHECK_THAT(store.problem(), Contains("99"));
  }
  SECTION("pages overwritten") {
    store.damage();
    CHECK_FALSE(verify_store(store.path()).problems.empty());
  }
}

TEST_CASE("A clock that was set back is not damage", "[results]") {
  const FilledStore store;
  store.execute("UPDATE sweeps SET started_at = '2026-01-02', finished_at = '2026-01-01'");

  CHECK(verify_store(store.path()).problems.empty());
}

TEST_CASE("A store of version 1 is verified by the rules of its time", "[results]") {
  const FilledStore store;
  make_version_1(store.path());

  CHECK(verify_store(store.path()).problems.empty());
  CHECK(verify_store(store.path()).schema_version == 1);
}

TEST_CASE("A damaged store is not written to", "[results]") {
  const FilledStore store;
  store.damage();
  const std::string before = store.content();

  CHECK_THROWS_AS(Store::open(store.path()), DataError);

  CHECK(store.content() == before);
}

TEST_CASE("Only a store can be verified", "[results]") {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "text") << std::string(200, 'x');
  CHECK_THROWS_AS(verify_store(folder.path() / "none"), DataError);
  CHECK_FALSE(verify_store(folder.path() / "text").problems.empty());
}
