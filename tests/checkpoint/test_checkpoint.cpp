#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

std::string checkpoint_error(const fs::path& path) {
  try {
    Checkpoint::open(path);
  } catch (const DataError& e) {
    return e.what();
  }
  return "";
}

/// A checkpoint of two shards with an index: a in the first, b in the second.
void write_sharded(const fs::path& folder, const std::string& shard_of_b) {
  write_safetensors(folder / "model-1.safetensors", {{"a", at::zeros({2})}});
  write_safetensors(folder / "model-2.safetensors", {{"b", at::ones({3})}});
  write_file(folder / "model.safetensors.index.json",
             Json{{"weight_map", {{"a", "model-1.safetensors"}, {"b", shard_of_b}}}}.dump());
}

}  // namespace

TEST_CASE("a written folder opens with its weights, config and origin", "[checkpoint]") {
  const TemporaryFolder folder;
  const StateDict weights{{"w", at::arange(4).to(at::kFloat)}};

  write_checkpoint(folder.path() / "m", weights,
                   {{{"model_type", "x"}}, {{"name", "n"}}, "card", {}}, false);
  const auto checkpoint = Checkpoint::open(folder.path() / "m");

  CHECK(at::equal(checkpoint->read("w"), weights.at("w")));
  CHECK(checkpoint->config()["model_type"] == "x");
  CHECK(checkpoint->origin()["name"] == "n");
  CHECK(read_file(folder.path() / "m" / "README.md") == "card");
}

TEST_CASE("an existing folder is replaced only when asked to", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "m";
  write_checkpoint(path, {{"w", at::zeros({1})}}, {}, false);

  CHECK_THROWS_AS(write_checkpoint(path, {{"w", at::ones({1})}}, {}, false), UserError);
  CHECK(Checkpoint::open(path)->read("w").item<float>() == 0.0f);
  write_checkpoint(path, {{"w", at::ones({1})}}, {}, true);
  CHECK(Checkpoint::open(path)->read("w").item<float>() == 1.0f);
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a folder that cannot be written leaves no files", "[checkpoint]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "file", "");

  CHECK_THROWS_AS(write_checkpoint(folder.path() / "file" / "m", {{"w", at::ones({1})}}, {}, false),
                  DataError);
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("the content hash depends on names, shapes, dtypes and bytes, not on files",
          "[checkpoint]") {
  const TemporaryFolder folder;
  write_sharded(folder.path(), "model-2.safetensors");
  const StateDict same{{"a", at::zeros({2})}, {"b", at::ones({3})}};

  const std::string hash = Checkpoint::open(folder.path())->content_hash();

  CHECK(hash == MemorySource("memory", same).content_hash());
  const auto differs = [&](const StateDict& other) {
    return MemorySource("memory", other).content_hash() != hash;
  };
  CHECK(differs({{"a", at::zeros({2})}, {"c", at::ones({3})}}));
  CHECK(differs({{"a", at::zeros({2})}, {"b", at::ones({3, 1})}}));
  CHECK(differs({{"a", at::zeros({2}, at::kDouble)}, {"b", at::ones({3})}}));
  CHECK(differs({{"a", at::zeros({2})}, {"b", at::full({3}, 1.5)}}));
}

TEST_CASE("sharded checkpoints are read by their index", "[checkpoint]") {
  const TemporaryFolder folder;

  SECTION("whole") {
    write_sharded(folder.path(), "model-2.safetensors");
    const auto checkpoint = Checkpoint::open(folder.path());
    CHECK(checkpoint->tensors().size() == 2);
    CHECK(checkpoint->read("b").sum().item<float>() == 3.0f);
  }
  SECTION("a missing shard") {
    write_sharded(folder.path(), "model-3.safetensors");
    CHECK_THAT(checkpoint_error(folder.path()), Catch::Contains("model-3.safetensors"));
  }
  SECTION("a tensor that its shard lacks") {
    write_sharded(folder.path(), "model-1.safetensors");
    CHECK_THAT(checkpoint_error(folder.path()), Catch::Contains("'b'"));
  }
  SECTION("a shard outside the folder") {
    write_sharded(folder.path(), "../model-2.safetensors");
    CHECK_THAT(checkpoint_error(folder.path()), Catch::Contains("file name"));
  }
}

TEST_CASE("a folder that is not a checkpoint is rejected by name", "[checkpoint]") {
  const TemporaryFolder folder;
  CHECK_THAT(checkpoint_error(folder.path() / "none"), Catch::Contains("none"));
  CHECK_THAT(checkpoint_error(folder.path()), Catch::Contains("model.safetensors"));
  CHECK_THROWS_AS(MemorySource("m", {}).read("w"), DataError);
}
