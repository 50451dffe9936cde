// What a merged folder holds next to its weights.
#include "harness/checkpoint/side_files.h"

#include <sys/stat.h>

#include <set>

#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/merge/merge_folder.h"
#include "harness/merge/preflight.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

std::set<std::string> names(const SideFiles& found) {
  std::set<std::string> out;
  for (const auto& [name, file] : found.files) out.insert(name.string());
  return out;
}

void touch(const fs::path& folder, const std::vector<std::string>& files) {
  for (const std::string& file : files) write_file(folder / file, file);
}

}  // namespace

TEST_CASE("all files of a model's folder but weights are side files", "[merge]") {
  const TemporaryFolder folder;
  const std::vector<std::string> kept{"spiece.model",  "sentencepiece.bpe.model",
                                      "tekken.json",   "1_Pooling/config.json",
                                      "modeling_x.py", "LICENSE",
                                      "a/b/c.txt",     "preprocessor_config.json"};
  touch(folder.path(), kept);
  touch(folder.path(),
        {"config.json", "assay.json", "README.md", "model.safetensors", "pytorch_model.bin",
         "model.safetensors.index.json", "model.GGUF", "tf_model.h5", "flax_model.msgpack",
         "onnx/model.onnx", "onnx/config.json", ".git/config", ".cache/x.json", "optimizer.pt",
         "adapter_config.json", "checkpoint-500/config.json", "rng_state.pth"});

  const SideFiles found = side_files(folder.path());

  CHECK((names(found) == std::set<std::string>(kept.begin(), kept.end())));
  CHECK(found.notes.empty());
  CHECK(side_files(folder.path() / "LICENSE").files.empty());
}

TEST_CASE("links are followed to regular files only, and what is left behind is noted", "[merge]") {
  const TemporaryFolder folder, elsewhere;
  touch(elsewhere.path(), {"blob", "sub/secret.txt"});
  fs::create_symlink(elsewhere.path() / "blob", folder.path() / "tokenizer.json");
  fs::create_symlink("nowhere", folder.path() / "vocab.txt");
  fs::create_directory_symlink(elsewhere.path() / "sub", folder.path() / "linked");
  REQUIRE(::mkfifo((folder.path() / "pipe").c_str(), 0600) == 0);
  touch(folder.path(), {"2_Dense/model.safetensors", "2_Dense/config.json"});

  const SideFiles found = side_files(folder.path());

  CHECK((names(found) == std::set<std::string>{"2_Dense/config.json", "tokenizer.json"}));
  REQUIRE(found.notes.size() == 4);
  CHECK_THAT(found.notes[0], Contains("2_Dense/model.safetensors") && Contains("not merged"));
  CHECK_THAT(found.notes[1], Contains("'linked'") && Contains("link to a folder"));
  CHECK_THAT(found.notes[2], Contains("'pipe'") && Contains("no file"));
  CHECK_THAT(found.notes[3], Contains("'vocab.txt'") && Contains("leads to no file"));
}

TEST_CASE("what Assay wrote into a model's folder is no side file of it", "[merge]") {
  const TemporaryFolder folder;
  touch(folder.path(), {"LICENSE", "merged/assay.json", "merged/tokenizer.json",
                        "a/.m.unfinished/.assay-unfinished", "a/.m.unfinished/tokenizer.json",
                        "a/.m.unfinished.lock"});

  const SideFiles found = side_files(folder.path());

  CHECK((names(found) == std::set<std::string>{"LICENSE"}));
  REQUIRE(found.notes.size() == 1);
  CHECK_THAT(found.notes[0], Contains("'merged'") && Contains("output of Assay"));
}

TEST_CASE("side files are checked before anything is written", "[merge]") {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"})
    write_checkpoint(folder.path() / name, {{"w", at::ones({2})}}, {}, false);
  touch(folder.path() / "a", {"tokenizer.json", "LICENSE"});
  write_file(folder.path() / "m.json", R"({"method": "average", "experts": ["a", "b"]})");
  MergeRequest request = MergeRequest::read(folder.path() / "m.json");
  std::string why;
  SECTION("one cannot be read") {
    fs::remove(folder.path() / "a/tokenizer.json");
    why = "tokenizer.json': No such file";
  }
  SECTION("they do not fit on the disk") {
    const auto too_much = static_cast<uintmax_t>(free_disk(folder.path())) + (uintmax_t{1} << 40);
    fs::resize_file(folder.path() / "a/LICENSE", too_much);  // of which nothing is stored
    why = "of disk, and";
  }

  CHECK_THROWS_WITH(merge_to_folder(request, {}, folder.path() / "out"), Contains(why));
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 3);
}

TEST_CASE("a merge may replace one that lies in its reference", "[merge]") {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"})
    write_checkpoint(folder.path() / name, {{"w", at::ones({2})}}, {}, false);
  touch(folder.path() / "a", {"1_Pooling/config.json"});
  write_file(folder.path() / "m.json", R"({"method": "average", "experts": ["a", "b"]})");

  for (int i = 0; i < 2; ++i) {
    MergeRequest request = MergeRequest::read(folder.path() / "m.json");
    merge_to_folder(request, {.replace = true}, folder.path() / "a/merged");
  }

  CHECK(fs::exists(folder.path() / "a/merged/1_Pooling/config.json"));
  CHECK_FALSE(fs::exists(folder.path() / "a/merged/merged"));
}

TEST_CASE("a merged folder has the side files of the reference, byte for byte", "[merge]") {
  const TemporaryFolder folder;
  for (const char* name : {"base", "a"}) {
    CheckpointExtras extras;
    extras.config = {{"model_type", "none"}};
    write_checkpoint(folder.path() / name, {{"w", at::ones({2})}}, extras, false);
    touch(folder.path() / name, {"1_Pooling/config.json"});
  }
  touch(folder.path() / "base", {"spiece.model"});
  touch(folder.path() / "a", {"only_of_a.txt"});
  write_file(folder.path() / "m.json",
             R"({"method": "task_arithmetic", "base": "base", "experts": ["a"]})");

  MergeRequest request = MergeRequest::read(folder.path() / "m.json");
  merge_to_folder(request, {}, folder.path() / "out");

  CHECK(read_file(folder.path() / "out/1_Pooling/config.json") == "1_Pooling/config.json");
  CHECK(read_file(folder.path() / "out/spiece.model") == "spiece.model");
  CHECK_FALSE(fs::exists(folder.path() / "out/only_of_a.txt"));
  CHECK(read_json(folder.path() / "out/config.json") == Json{{"model_type", "none"}});
}
