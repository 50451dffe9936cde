#include "harness/core/paths.h"

#include <filesystem>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// deep/link leads to elsewhere/dir, so that deep/link/.. is elsewhere.
class Linked {
 public:
  Linked() {
    fs::create_directories(path() / "elsewhere" / "dir");
    fs::create_directories(path() / "elsewhere" / "model");
    fs::create_directories(path() / "deep" / "model");
    fs::create_directory_symlink("../elsewhere/dir", path() / "deep" / "link");
  }
  fs::path path() const { return fs::canonical(folder_.path()); }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("two dots after a link are resolved as the kernel does", "[core]") {
  const Linked folder;
  const fs::path through = folder.path() / "deep" / "link" / ".." / "model";

  CHECK(plain_path(through) == folder.path() / "elsewhere" / "model");
  CHECK(resolve_output(through) == folder.path() / "elsewhere" / "model");
  CHECK(resolve_output(folder.path() / "deep" / "link" / ".." / "new") ==
        folder.path() / "elsewhere" / "new");
}

TEST_CASE("other paths stay as they were given, without dots and slashes at the end", "[core]") {
  const Linked folder;
  CHECK(plain_path(folder.path() / "deep" / "." / "model" / "") ==
        folder.path() / "deep" / "model");
  CHECK(plain_path(folder.path() / "deep" / ".." / "deep" / "link") ==
        folder.path() / "deep" / "link");
  CHECK(plain_path(folder.path() / "absent") == folder.path() / "absent");
}

TEST_CASE("an output's links are followed, and its folders need not exist", "[core]") {
  const Linked folder;
  CHECK(resolve_output(folder.path() / "deep" / "link") == folder.path() / "elsewhere" / "dir");
  CHECK(resolve_output(folder.path() / "deep" / "link" / "new" / "") ==
        folder.path() / "elsewhere" / "dir" / "new");
  CHECK(resolve_output(folder.path() / "a" / "b") == folder.path() / "a" / "b");
  CHECK(resolve_output(".") == fs::canonical("."));
}

TEST_CASE("an output that cannot be created is rejected", "[core]") {
  const Linked folder;
  write_file(folder.path() / "file", "");
  fs::create_symlink("nowhere/x", folder.path() / "dangling");
  fs::create_symlink("loop", folder.path() / "loop");

  CHECK_THROWS_WITH(resolve_output(""), Contains("empty"));
  CHECK_THROWS_WITH(resolve_output(folder.path() / "dangling"),
                    Contains("dangling") && Contains("nowhere/x"));
  CHECK_THROWS_AS(resolve_output(folder.path() / "dangling" / "x"), UserError);
  CHECK_THROWS_AS(resolve_output(folder.path() / "loop"), UserError);
  CHECK_THROWS_AS(resolve_output(folder.path() / "file" / "x"), DataError);
  CHECK_THROWS_WITH(resolve_output(folder.path() / "absent" / ".." / "x"), Contains("no folder"));
  CHECK_THROWS_WITH(resolve_output(folder.path() / std::string(240, 'x')), Contains("240 bytes"));
  CHECK_THROWS_AS(resolve_output(folder.path() / std::string(5000, 'x')), UserError);
  CHECK_NOTHROW(resolve_output(folder.path() / std::string(200, 'x')));
}

TEST_CASE("a path is within itself and what it begins with, part by part", "[core]") {
  CHECK(is_within("/a/b", "/a/b"));
  CHECK(is_within("/a/b/c", "/a/b"));
  CHECK_FALSE(is_within("/a/bc", "/a/b"));
  CHECK_FALSE(is_within("/a", "/a/b"));
}

TEST_CASE("the root is a mount point, a new folder is none", "[core]") {
  const TemporaryFolder folder;
  CHECK(is_mount_point("/"));
  CHECK(is_mount_point("/proc"));
  CHECK_FALSE(is_mount_point(folder.path()));
}

TEST_CASE("bytes that are not UTF-8 are escaped, all others kept", "[core]") {
  CHECK(utf8_text("mod\xe8les") == "mod\\xe8les");
  CHECK(utf8_text("mod\xc3\xa8les") == "mod\xc3\xa8les");
  CHECK(utf8_text("\xf0\x9f\x99\x82") == "\xf0\x9f\x99\x82");
  CHECK(utf8_text("\xc3") == "\\xc3");                    // truncated
  CHECK(utf8_text("\xc0\xaf") == "\\xc0\\xaf");           // overlong
  CHECK(utf8_text("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(utf8_text("").empty());
}
