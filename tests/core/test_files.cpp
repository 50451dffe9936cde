#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/core/regular_file.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Limits the size of files of this process (RLIMIT_FSIZE), to simulate a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("a written file is read back, in folders made for it", "[core]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "new" / "deeper" / "file.bin";
  const std::string content("zero \0 inside", 13);

  write_file(path, content);
  CHECK(read_file(path) == content);
  write_file(path, "");
  CHECK(read_file(path).empty());
  CHECK(files_in(path.parent_path()) == 1);
}

TEST_CASE("a write that fails keeps the old content and leaves nothing behind", "[core]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file.txt";
  write_file(path, "old");
  std::string message;
  {
    const FileSizeLimit limit(100);
    try {
      write_file(path, std::string(1000, 'x'));
    } catch (const DataError& e) {
      message = e.what();
    }
  }

  CHECK_THAT(message, Contains("cannot write") && Contains("file.txt") && Contains("too large"));
  CHECK(read_file(path) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a file that cannot be created or read is named", "[core]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "file", "");

  CHECK_THROWS_AS(write_file(folder.path() / "file" / "below", "x"), DataError);
  CHECK_THROWS_WITH(write_file("/proc/assay", "x"), Contains("cannot create '/proc/assay'"));
  CHECK_THROWS_WITH(read_file(folder.path() / "absent"), Contains("absent"));
  CHECK_THROWS_AS(read_file(folder.path()), DataError);
  CHECK_THROWS_AS(sync_path(folder.path() / "absent"), DataError);
}

TEST_CASE("a file that is not regular is rejected without being opened", "[core]") {
  const TemporaryFolder folder;
  const fs::path fifo = folder.path() / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);

  CHECK_THROWS_WITH(read_file(fifo), Contains("fifo") && Contains("not a regular file"));
  CHECK_THROWS_WITH(read_file("/dev/zero"), Contains("not a regular file"));
  CHECK_THROWS_WITH(sha256_file(fifo), Contains("not a regular file"));
  CHECK_THROWS_WITH(read_configuration(fifo), Contains("not a regular file"));
  fs::create_symlink("/dev/zero", folder.path() / "link");
  CHECK_THROWS_WITH(read_file(folder.path() / "link"), Contains("not a regular file"));
}

TEST_CASE("a failed read is not the end of the file", "[core]") {
  // The first page of a process is never mapped: reading it is an input/output error.
  CHECK_THROWS_WITH(read_file("/proc/self/mem"), Contains("/proc/self/mem"));
  CHECK_THROWS_AS(sha256_file("/proc/self/mem"), DataError);
  CHECK_FALSE(read_file("/proc/self/status").empty());  // its reported size is 0
}

TEST_CASE("a dangling link is not the same as a missing file", "[core]") {
  const TemporaryFolder folder;
  const fs::path link = folder.path() / "config.json";
  CHECK_FALSE(file_exists(link));
  fs::create_symlink("../blobs/gone", link);
  CHECK_THROWS_WITH(file_exists(link),
                    Contains("config.json") && Contains("link to a missing file"));
  CHECK_THROWS_AS(file_exists(folder.path() / std::string(5000, 'x')), DataError);
  CHECK(file_exists(folder.path()));
}

TEST_CASE("a configuration is read from a pipe of the shell", "[core]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  REQUIRE(::write(ends[1], "text", 4) == 4);
  ::close(ends[1]);
  CHECK(read_configuration("/dev/fd/" + std::to_string(ends[0])) == "text");
  ::close(ends[0]);
}

TEST_CASE("temporary files of killed processes are removed when the file is next written",
          "[core]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file.txt";
  // The second is still being written by a process that holds its lock, the others are not ours.
  write_file(folder.path() / "file.txt.tmp1-2", "half");
  write_file(folder.path() / "file.txt.tmp1-3", "half");
  write_file(folder.path() / "file.txt.tmp", "mine");
  write_file(folder.path() / "file.txt.tmp-old", "mine");
  write_file(folder.path() / "file.txt.tmp1-2-3", "mine");
  const int held = ::open((folder.path() / "file.txt.tmp1-3").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(held, LOCK_EX | LOCK_NB) == 0);

  write_file(path, "whole");

  CHECK_FALSE(fs::exists(folder.path() / "file.txt.tmp1-2"));
  CHECK(fs::exists(folder.path() / "file.txt.tmp1-3"));
  CHECK(files_in(folder.path()) == 5);
  ::close(held);
}

TEST_CASE("a new file never replaces another", "[core]") {
  const TemporaryFolder folder;
  CHECK(write_new_file(folder.path() / "file", "first"));
  CHECK_FALSE(write_new_file(folder.path() / "file", "second"));
  CHECK(read_file(folder.path() / "file") == "first");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a file is copied whole or not at all", "[core]") {
  const TemporaryFolder folder;
  const fs::path from = folder.path() / "from", to = folder.path() / "sub" / "to";
  std::string content(1'000'003, 'x');
  content.back() = '\0';
  write_file(from, content);

  copy_regular_file(from, to);
  CHECK(read_file(to) == content);
  copy_regular_file("/proc/self/status", folder.path() / "status");  // its reported size is 0
  CHECK_FALSE(read_file(folder.path() / "status").empty());

  CHECK_THROWS_WITH(copy_regular_file(folder.path() / "absent", to), Contains("absent"));
  CHECK_THROWS_WITH(copy_regular_file("/proc/self/mem", to), Contains("/proc/self/mem"));
  CHECK(read_file(to) == content);
  CHECK(files_in(to.parent_path()) == 1);
}

TEST_CASE("threads that write one file leave one complete version", "[core]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  const auto write_many = [&](char letter) {
    for (int i = 0; i < 20; ++i) write_file(path, std::string(10000, letter));
  };
  std::thread other(write_many, 'a');
  write_many('b');
  other.join();

  const std::string content = read_file(path);
  CHECK(content == std::string(10000, content.at(0)));
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("named files are looked up next to the file that names them, then in Assay's own folder",
          "[core]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "mine.json", "{}");

  CHECK(find_file("mine.json", folder.path()) == folder.path() / "mine.json");
  CHECK(find_file(folder.path() / "mine.json") == folder.path() / "mine.json");
  CHECK(find_file("harness/core/files.h", folder.path()) ==
        home_folder() / "harness" / "core" / "files.h");
  CHECK_THROWS_AS(find_file("nowhere.json", folder.path()), UserError);
  fs::create_symlink("loop", folder.path() / "loop");
  CHECK_THROWS_AS(find_file(folder.path() / "loop"), UserError);
  CHECK_THROWS_AS(find_file(std::string(5000, 'x')), UserError);
  CHECK_THROWS_WITH(find_file("nowhere.json", folder.path()),
                    Contains("nowhere.json") && Contains(folder.path().string()));
}
