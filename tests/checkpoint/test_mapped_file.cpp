#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <functional>
#include <numeric>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/mapped_file.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// What `work` throws in a process of its own: lost bytes are remembered until a process ends.
std::string error_of(const std::function<void()>& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said;
    try {
      work();
    } catch (const DataError& error) {
      said = error.what();
    }
    const ssize_t written = ::write(ends[1], said.data(), said.size());
    ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  char text[4096];
  const ssize_t count = ::read(ends[0], text, sizeof text);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);  // no signal
  return {text, count > 0 ? static_cast<size_t>(count) : 0};
}

int64_t sum(std::string_view bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
}

}  // namespace

TEST_CASE("a file truncated while it is read is an error, not a signal", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "weights";
  constexpr size_t kBytes = 100'000, kLeft = 10'000;
  write_file(path, std::string(kBytes, '\1'));

  const auto cut = [&](bool closed) {
    return error_of([&] {
      auto file = std::make_unique<MappedFile>(path);
      if (::truncate(path.c_str(), kLeft) != 0) data_error("cannot truncate");
      if (sum(file->bytes()) != static_cast<int64_t>(kLeft)) data_error("not zeros behind the end");
      if (closed) file.reset();
      check_mapped_bytes();
    });
  };

  CHECK_THAT(cut(false), Contains("weights' was truncated"));
  write_file(path, std::string(kBytes, '\1'));
  CHECK_THAT(cut(true), Contains("weights' was truncated"));
}

TEST_CASE("a file that changes while it is mapped is named", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "weights";
  write_file(path, "before");
  {
    const MappedFile file(path);
    CHECK_NOTHROW(check_mapped_files());
    SECTION("its time") {
      const timespec times[2] = {{.tv_sec = 5, .tv_nsec = 0}, {.tv_sec = 5, .tv_nsec = 0}};
      REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
      CHECK_THROWS_WITH(check_mapped_files(), Contains("weights' changed"));
    }
    SECTION("another file of its name") {
      write_file(path, "after.");
      CHECK_THROWS_WITH(check_mapped_files(), Contains("weights' changed"));
    }
    SECTION("no file of its name") {
      fs::remove(path);
      CHECK_THROWS_WITH(check_mapped_files(), Contains("weights' was removed"));
      CHECK_THROWS_WITH(check_mapped_files({"other", folder.path()}), Contains("was removed"));
      CHECK_THROWS_WITH(check_mapped_files({path}), Contains("was removed"));
      CHECK_NOTHROW(check_mapped_files({"other"}));
    }
    CHECK(file.bytes() == "before");
  }
  CHECK_NOTHROW(check_mapped_files());  // of files that are no longer mapped
}

TEST_CASE("weights in another format get a hint", "[checkpoint]") {
  const TemporaryFolder folder;
  const auto said = [&](const std::string& name, const std::string& content) {
    const TemporaryFolder model;
    write_file(model.path() / name, content);
    try {
      Checkpoint::open(model.path());
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };

  CHECK_THAT(said("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
             Contains("git-lfs"));
  CHECK_THAT(said("model.safetensors", "<html>"), Contains("HTML"));
  CHECK_THAT(said("model.safetensors", "<!doctype html><html><body>"), Contains("HTML"));
  CHECK_THAT(said("model.safetensors", "GGUF\x03 and more"), Contains("GGUF"));
  CHECK_THAT(said("pytorch_model.bin", "PK"), Contains("pytorch_model.bin") && Contains("archive"));
  CHECK_THAT(said("model.Q4_K_M.gguf", "GGUF"), Contains("model.Q4_K_M.gguf"));
  CHECK_THAT(said("model_index.json", "{}"), Contains("diffusers"));
  CHECK_THAT(said("other.safetensors", ""), Contains("name the file 'other.safetensors'"));

  fs::create_symlink("../blobs/gone", folder.path() / "config.json");
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()),
                    Contains("config.json") && Contains("link to a missing file"));
  const TemporaryFolder pipes;
  REQUIRE(::mkfifo((pipes.path() / "model.safetensors").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(Checkpoint::open(pipes.path()), Contains("not a regular file"));
}

TEST_CASE("a named file is checked by its last mapping", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "weights";
  write_file(path, "before");
  const MappedFile old(path);
  write_file(path, "after.");

  CHECK_THROWS_WITH(check_mapped_files({path}), Contains("weights' changed"));
  const MappedFile now(path);
  CHECK_NOTHROW(check_mapped_files({path}));
  CHECK_THROWS_WITH(check_mapped_files(), Contains("weights' changed"));
  write_file(path, "again.");
  CHECK_THROWS_WITH(check_mapped_files({path}), Contains("weights' changed"));
}

TEST_CASE("a file that is complete again is read again", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "weights";
  constexpr size_t kBytes = 100'000;
  write_file(path, std::string(kBytes, '\1'));

  CHECK(error_of([&] {
          auto file = std::make_unique<MappedFile>(path);
          if (::truncate(path.c_str(), 0) != 0) data_error("cannot truncate");
          if (sum(file->bytes()) != 0) data_error("not zeros");
          file.reset();
          write_file(path, std::string(kBytes, '\1'));
          const MappedFile whole(path);
          check_mapped_bytes();
          check_mapped_files({path});
        }).empty());
}
