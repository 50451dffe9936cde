#include "harness/core/renames.h"

#include "harness/core/error.h"
#include "harness/core/file_lock.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

TEST_CASE("a rename never replaces an existing name", "[core]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "new" / "a", "new");
  fs::create_directory(folder.path() / "empty");  // what a plain rename would replace
  write_file(folder.path() / "file", "old");

  CHECK_FALSE(rename_noreplace(folder.path() / "new", folder.path() / "empty"));
  CHECK_FALSE(rename_noreplace(folder.path() / "new", folder.path() / "file"));
  CHECK(fs::is_empty(folder.path() / "empty"));
  CHECK(rename_noreplace(folder.path() / "new", folder.path() / "other"));
  CHECK(read_file(folder.path() / "other" / "a") == "new");
  CHECK_FALSE(fs::exists(folder.path() / "new"));
  CHECK_THROWS_AS(rename_noreplace(folder.path() / "absent", folder.path() / "x"), DataError);
}

TEST_CASE("two names are swapped", "[core]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "a" / "of a", "");
  write_file(folder.path() / "b" / "of b", "");
  REQUIRE(can_exchange_names(folder.path() / "probe"));

  exchange_names(folder.path() / "a", folder.path() / "b");

  CHECK(fs::exists(folder.path() / "a" / "of b"));
  CHECK(fs::exists(folder.path() / "b" / "of a"));
  CHECK_THROWS_AS(exchange_names(folder.path() / "a", folder.path() / "absent"), DataError);
  CHECK_FALSE(fs::exists(folder.path() / "probe.a"));
}

TEST_CASE("a lock has one holder, and its file is removed", "[core]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "lock";
  write_file(path, "");  // as a killed process leaves it
  {
    const auto held = FileLock::try_lock(path);
    REQUIRE(held);
    CHECK_FALSE(FileLock::try_lock(path));
  }
  CHECK_FALSE(fs::exists(path));
  CHECK(FileLock::try_lock(path));
  CHECK_THROWS_AS(FileLock::try_lock(folder.path() / "absent" / "lock"), DataError);
}
