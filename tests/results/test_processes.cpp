// Several processes with one store, and a writer that is killed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/core/error.h"
#include "results/store.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;

TEST_CASE("Two processes that fill one new store both finish, and nothing is lost", "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  const auto path = folder.path() / "r.sqlite";
  for (int round = 0; round < 5; ++round) {
    std::filesystem::remove(path);
    std::vector<pid_t> children;
    for (int who = 0; who < 2; ++who) {
      const pid_t child = ::fork();
      if (child == 0) {
        try {
          fill_store(path, put);  // the shared records
          Store store = Store::open(path);
          for (int i = 0; i < 40; ++i) {
            RunRecord run = put.runs[3].run;
            run.key = fmt::format("{} of {}", i, i % 2 ? "both" : who ? "one" : "the other");
            store.put_run(run, put.environments[0]);
          }
        } catch (...) {
          ::_exit(1);
        }
        ::_exit(0);
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 1;
      ::waitpid(child, &status, 0);
      CHECK(status == 0);
    }
    SQLite::Database database(path.string());
    CHECK(database.execAndGet("SELECT count(*) FROM runs").getInt() == 4 + 20 + 2 * 20);
    CHECK(integrity(path) == "ok");
  }
}

TEST_CASE("One process reads while another writes", "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  fill_store(folder.path() / "r.sqlite", put);
  Store writer = Store::open(folder.path() / "r.sqlite");
  const Store reader = Store::open_read_only(folder.path() / "r.sqlite");

  for (int i = 0; i < 20; ++i) {
    RunRecord run = put.runs[3].run;
    run.key = fmt::format("k{}", i);
    writer.put_run(run, put.environments[0]);
    CHECK(reader.find_run(run.key));
    CHECK(reader.load_sweep("").runs.size() == 4);
  }
}

TEST_CASE("A writer killed at any moment leaves a consistent store", "[results]") {
  TemporaryFolder folder;
  const SweepResults put = fake::results();
  const auto path = folder.path() / "r.sqlite";
  fill_store(path, put);

  for (int round = 0; round < 5; ++round) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Store store = Store::open(path);
      for (int i = 0;; ++i) {
        RunRecord run = put.runs[3].run;
        run.key = fmt::format("round {} run {}", round, i);
        store.put_run(run, put.environments[0]);
        if (i == 3 + round && ::write(ready[1], "x", 1) != 1) ::_exit(1);
      }
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);

    Store store = Store::open(path);
    CHECK(integrity(path) == "ok");
    // Every run that was committed is complete, at least the first ones.
    for (int i = 0; i <= 3 + round; ++i) {
      const auto run = store.find_run(fmt::format("round {} run {}", round, i));
      REQUIRE(run);
      CHECK(run->scores.size() == 3);
      CHECK(run->costs.size() == 3);
    }
  }
}
