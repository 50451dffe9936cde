// Output folders: what is replaced, what is kept, what is removed.
#include "harness/checkpoint/output_folder.h"

#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/own_folder.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"
#include "tests/catch.h"
#include "tests/checkpoint/names_in.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const std::vector<TensorInfo> kOneTensor{{"w", at::kFloat, {1}}};

void write(const fs::path& folder, float value, bool replace = false) {
  write_checkpoint(folder, {{"w", at::full({1}, value)}},
                   {{{"model_type", "x"}}, Json(), "card", {}}, replace);
}

float value_in(const fs::path& folder) { return Checkpoint::open(folder)->read("w").item<float>(); }

void finish(CheckpointWriter& writer, float value) {
  writer.write("w", 0, at::full({1}, value));
  writer.finish_tensor("w");
  writer.finish({});
}

}  // namespace

TEST_CASE("a folder is Assay's when its list names all of its contents", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path own = folder.path() / "m";
  write(own, 1);
  CHECK(read_json(own / "assay.json").at("files") ==
        Json{"README.md", "config.json", "model.safetensors"});
  CHECK_FALSE(foreign_content(own));

  SECTION("another file") {
    write_file(own / "notes.txt", "mine");
    CHECK_THAT(*foreign_content(own), Contains("notes.txt"));
  }
  SECTION("a folder, empty or not") {
    fs::create_directory(own / "results");
    CHECK_THAT(*foreign_content(own), Contains("results"));
  }
  SECTION("a link instead of a file") {
    fs::remove(own / "config.json");
    fs::create_symlink("/etc/hostname", own / "config.json");
    CHECK_THAT(*foreign_content(own), Contains("config.json"));
  }
  SECTION("no list that Assay wrote") {
    write_file(own / "assay.json", R"({"assay": "a tool of another kind"})");
    CHECK(foreign_content(own));
    write_file(own / "assay.json", "{");
    CHECK(foreign_content(own));
    fs::remove(own / "assay.json");
    CHECK(foreign_content(own));
  }
  SECTION("files in folders that are listed") {
    write_file(own / "1_Pooling" / "config.json", "{}");
    write_file(own / "assay.json",
               R"({"assay": 1, "files": ["README.md", "config.json", "model.safetensors",
                                         "1_Pooling/config.json"]})");
    CHECK_FALSE(foreign_content(own));
  }
}

TEST_CASE("a folder of a version without a list may contain the files that it wrote",
          "[checkpoint]") {
  const TemporaryFolder folder;
  for (const char* name : {"README.md", "config.json", "model-00001-of-00002.safetensors",
                           "model.safetensors.index.json", "tokenizer.json"})
    write_file(folder.path() / name, "");
  write_file(folder.path() / "assay.json", R"({"assay": 1, "role": "merge"})");
  CHECK_FALSE(foreign_content(folder.path()));
  write_file(folder.path() / "model-1-of-2.safetensors", "");
  CHECK_THAT(*foreign_content(folder.path()), Contains("model-1-of-2"));
}

TEST_CASE("a folder that may not be replaced is rejected before a file is created",
          "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "m";
  std::vector<fs::path> keep;
  std::string why;
  SECTION("files of other programs") {
    write_file(target / "chapter.tex", "years of work");
    why = "assay.json";
  }
  SECTION("a file") {
    write_file(target, "mine");
    why = "not a folder";
  }
  SECTION("a folder that contains an input, through a link too") {
    write(target, 1);
    fs::create_directory_symlink("m", folder.path() / "link");
    keep = {folder.path() / "link" / "model.safetensors"};
    why = "is read";
  }
  SECTION("the current folder") {
    write(target, 1);
    const fs::path before = fs::current_path();
    fs::current_path(target);
    CHECK_THROWS_WITH(check_output_folder(resolve_output("."), true, {}),
                      Contains("current folder"));
    fs::current_path(before);
    keep = {target / "config.json"};
    why = "is read";
  }
  const auto before = names_in(folder.path());
  CHECK_THROWS_WITH(
      CheckpointWriter(target, kOneTensor, {.replace = true, .identity = "", .keep = keep}),
      Contains(why) && Contains("not replaced"));
  CHECK(names_in(folder.path()) == before);
}

TEST_CASE("an empty folder and the target of a link are replaced where they are", "[checkpoint]") {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "disk");
  fs::create_directory(folder.path() / "disk" / "m");
  fs::create_directory_symlink("disk/m", folder.path() / "link");
  write(folder.path() / "link", 1, true);
  write(folder.path() / "link", 2, true);

  CHECK(fs::is_symlink(folder.path() / "link"));
  CHECK(value_in(folder.path() / "disk" / "m") == 2);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"disk", "link"});
  CHECK(names_in(folder.path() / "disk") == std::vector<std::string>{"m"});
}

TEST_CASE("a folder that appears meanwhile stays, and the result gets another name",
          "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "m";
  const bool replace = GENERATE(false, true);
  CheckpointWriter writer(target, kOneTensor, {.replace = replace, .identity = "x"});
  write_file(target / "notes.txt", "mine");
  write_file(folder.path() / "m.1", "taken");

  CHECK_THROWS_WITH(finish(writer, 5), Contains("m' is kept") && Contains("m.2"));

  CHECK(names_in(target) == std::vector<std::string>{"notes.txt"});
  CHECK(value_in(folder.path() / "m.2") == 5);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"m", "m.1", "m.2"});
}

TEST_CASE("files put into a folder while its successor is written are kept", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "m";
  write(target, 1);
  CheckpointWriter writer(target, kOneTensor, {.replace = true, .identity = "x"});
  write_file(target / "notes.txt", "mine");

  CHECK_THROWS_WITH(finish(writer, 2), Contains("notes.txt"));
  CHECK(read_file(target / "notes.txt") == "mine");
  CHECK(value_in(target) == 1);
  CHECK(value_in(folder.path() / "m.1") == 2);
}

TEST_CASE("a name stays locked until the folder is renamed", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "m";
  OutputFolder first(target, false, {});
  first.complete();  // all is written, and it is not renamed yet
  write_file(first.unfinished() / "a", "first");

  CHECK_THROWS_WITH(OutputFolder(target, false, {}), Contains("another process is writing"));
  CHECK_THROWS_WITH(OutputFolder(target, true, {}), Contains("another process is writing"));
  first.commit();
  CHECK(read_file(target / "a") == "first");
  CHECK_THROWS_WITH(OutputFolder(target, false, {}), Contains("exists already"));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"m"});
}

TEST_CASE("files of a killed process are removed by the next, and nothing else is",
          "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "m", left = folder.path() / ".m.unfinished";
  SECTION("killed during a write") {
    write_file(left / OutputFolder::kMarker, "");
    write_file(left / "model.safetensors", "half");
    write_file(folder.path() / ".m.unfinished.lock", "");
  }
  SECTION("killed between complete() and commit(), or while removing the old folder") {
    write(left, 1);
  }
  SECTION("a folder of another program") {
    write_file(left / "thesis.tex", "years of work");
    CHECK_THROWS_WITH(write(target, 3), Contains("already exists"));
    CHECK(names_in(folder.path()) == std::vector<std::string>{".m.unfinished"});
    fs::remove_all(left);
  }
  write(target, 3);
  CHECK(value_in(target) == 3);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"m"});
}
