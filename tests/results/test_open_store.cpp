#include "results/internal/open_store.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

/// Makes the folder read-only for users other than root, for a scope.
class Protected {
 public:
  explicit Protected(fs::path folder) : folder_(std::move(folder)) {
    for (const auto& entry : fs::directory_iterator(folder_)) set(entry.path(), 0444);
    set(folder_, 0555);
  }
  ~Protected() { set(folder_, 0755); }

 private:
  static void set(const fs::path& path, unsigned mode) {
    fs::permissions(path, static_cast<fs::perms>(mode));
  }
  fs::path folder_;
};

/// The number of runs that another user sees in the store; -1 when it cannot be read.
int runs_seen_by_another(const fs::path& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(99);
    try {
      ::_exit(static_cast<int>(Store::open_read_only(path).load_sweep("").runs.size()));
    } catch (const std::exception& e) {
      fmt::print(stderr, "{}\n", e.what());
      ::_exit(98);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) < 98 ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("A store in a read-only folder is read", "[results]") {
  TemporaryFolder home;
  fs::permissions(home.path(), fs::perms(0755));
  const fs::path folder = home.path() / "100% ours?";  // needs escaping in a URI
  fs::create_directory(folder);
  fill_store(folder / "r.sqlite", fake::results());

  const Protected no_writing(folder);

  CHECK(runs_seen_by_another(folder / "r.sqlite") == 4);
  CHECK(std::distance(fs::directory_iterator(folder), {}) == 1);
}

TEST_CASE("A log next to a store in a read-only folder is read", "[results]") {
  TemporaryFolder home;
  fs::permissions(home.path(), fs::perms(0755));
  const fs::path folder = home.path() / "shared";
  fs::create_directory(folder);
  SweepResults results = fake::results();
  fill_store(home.path() / "r.sqlite", results);
  Store writer = Store::open(home.path() / "r.sqlite");
  fake::add_average(results, "k-more", {"s", "average", "tuned"});
  writer.put_run(results.runs.back().run, results.environments[0]);
  writer.place_runs(writer.put_sweep(results.sweep), {{"k-more", {"s", "average", "tuned"}}});
  // The files that a killed writer leaves.
  fs::copy_file(home.path() / "r.sqlite", folder / "r.sqlite");
  fs::copy_file(home.path() / "r.sqlite-wal", folder / "r.sqlite-wal");

  const Protected no_writing(folder);

  CHECK(runs_seen_by_another(folder / "r.sqlite") == 5);
}
