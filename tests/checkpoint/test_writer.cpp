#include "harness/checkpoint/writer.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <csignal>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/checkpoint/names_in.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

// Data bytes: a 16, b 24, c 8.
const std::vector<TensorInfo> kInfos{
    {"a", at::kFloat, {4}}, {"b", at::kLong, {3}}, {"c", at::kFloat, {2}}};

at::Tensor values_for(const TensorInfo& info) {
  return at::arange(info.numel()).to(info.dtype) + static_cast<int64_t>(info.name.front());
}

void write_all(CheckpointWriter& writer, const std::vector<TensorInfo>& infos) {
  for (const TensorInfo& info : infos) {
    if (writer.resumed_notes().contains(info.name)) continue;
    writer.write(info.name, 0, values_for(info));
    writer.finish_tensor(info.name, "note of " + info.name);
  }
}

/// Limits the size of files of this process (RLIMIT_FSIZE), for a scope.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) : before_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, before_handler_);
  }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
  void (*before_handler_)(int);
};

}  // namespace

TEST_CASE("shards hold as much as asked for, and an index says where tensors are", "[checkpoint]") {
  const TemporaryFolder folder;
  CheckpointWriter writer(folder.path() / "m", kInfos, {.shard_bytes = 32, .identity = ""});
  write_all(writer, kInfos);
  writer.finish({});

  CHECK(names_in(folder.path() / "m") ==
        std::vector<std::string>{"assay.json", "model-00001-of-00002.safetensors",
                                 "model-00002-of-00002.safetensors",
                                 "model.safetensors.index.json"});
  const Json index = read_json(folder.path() / "m" / kIndexName);
  CHECK(index["metadata"]["total_size"] == 48);
  CHECK(index["weight_map"]["a"] == "model-00001-of-00002.safetensors");
  CHECK(index["weight_map"]["b"] == "model-00002-of-00002.safetensors");
  CHECK(index["weight_map"]["c"] == "model-00002-of-00002.safetensors");
  const auto written = Checkpoint::open(folder.path() / "m");
  for (const TensorInfo& info : kInfos)
    CHECK(at::equal(written->read(info.name), values_for(info)));
}

TEST_CASE("parts of tensors may come in any order", "[checkpoint]") {
  const TemporaryFolder folder;
  CheckpointWriter writer(folder.path() / "m", kInfos, {.identity = ""});
  writer.write("c", 0, values_for(kInfos[2]));
  writer.write("a", 3, values_for(kInfos[0]).narrow(0, 3, 1));
  writer.finish_tensor("c");
  writer.write("b", 0, values_for(kInfos[1]));
  writer.write("a", 0, values_for(kInfos[0]).narrow(0, 0, 3));
  writer.finish_tensor("b");
  writer.finish_tensor("a");
  writer.finish({});

  const auto written = Checkpoint::open(folder.path() / "m");
  for (const TensorInfo& info : kInfos)
    CHECK(at::equal(written->read(info.name), values_for(info)));
}

TEST_CASE("large blocks are written correctly at any file offset and from any memory",
          "[checkpoint]") {
  // A few bytes, 2.4 MB and 0.6 MB: starts and ends share pages with neighbours, and after 7 bytes
  // the file offsets are unaligned for their dtype.
  const int64_t few = GENERATE(7, 8);
  const std::vector<TensorInfo> infos{
      {"a", at::kChar, {few}}, {"b", at::kFloat, {600'001}}, {"c", at::kHalf, {300'001}}};
  const auto content = [](const TensorInfo& info) {
    return at::arange(info.numel(), at::kLong).remainder(251).to(info.dtype);
  };
  const bool in_buffers = GENERATE(true, false);
  const TemporaryFolder folder;
  CheckpointWriter writer(folder.path() / "m", infos, {.identity = ""});
  for (const TensorInfo& info : infos) {
    const at::Tensor all = content(info);
    for (int64_t first = 0; first < info.numel(); first += 250'001) {
      at::Tensor part = all.narrow(0, first, std::min<int64_t>(250'001, info.numel() - first));
      if (in_buffers) {
        const at::Tensor buffer = writer.buffer(info.name, first, part.numel());
        CHECK(reinterpret_cast<uintptr_t>(buffer.data_ptr()) % c10::elementSize(info.dtype) == 0);
        part = buffer.copy_(part);
      }
      writer.write(info.name, first, part);
    }
    writer.finish_tensor(info.name);
  }
  writer.finish({});

  const auto written = Checkpoint::open(folder.path() / "m");
  for (const TensorInfo& info : infos) CHECK(at::equal(written->read(info.name), content(info)));
}

TEST_CASE("a writer that is destroyed leaves no files", "[checkpoint]") {
  const TemporaryFolder folder;
  {
    CheckpointWriter writer(folder.path() / "m", kInfos, {.shard_bytes = 32, .identity = "x"});
    writer.write("a", 0, values_for(kInfos[0]));
    writer.finish_tensor("a");
  }
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("a file system without space is reported at once and no file is left", "[checkpoint]") {
  const TemporaryFolder folder;
  const std::vector<TensorInfo> large{{"w", at::kFloat, {1 << 20}}};
  const FileLimit limit(1 << 20);

  CHECK_THROWS_WITH(CheckpointWriter(folder.path() / "m", large, {.identity = ""}),
                    Contains("model.safetensors") && Contains("File too large"));
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("finished shards are resumed, with their notes", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "m", kept = folder.path() / "kept";
  const WriteOptions options{.shard_bytes = 32, .identity = "merge 1"};
  {
    CheckpointWriter writer(target, kInfos, options);
    writer.write("a", 0, values_for(kInfos[0]));
    writer.finish_tensor("a", "seen");
    // The journal appears when the shard is on the disk: the state after a kill.
    const fs::path unfinished = folder.path() / ".m.unfinished";
    while (!fs::exists(unfinished / ".assay-journal.json")) usleep(1000);
    fs::copy(unfinished, kept);
  }
  fs::rename(kept, folder.path() / ".m.unfinished");

  WriteOptions resume = options;
  resume.resume = true;
  resume.identity = "merge 2";
  CHECK_THROWS_WITH(CheckpointWriter(target, kInfos, resume), Contains("another configuration"));

  const fs::path journal = folder.path() / ".m.unfinished" / ".assay-journal.json";
  const std::string content = read_file(journal);
  write_file(journal, R"({"identity": "merge 1", "shards": []})");
  resume.identity = options.identity;
  CHECK_THROWS_WITH(CheckpointWriter(target, kInfos, resume), Contains("shards"));
  // An unreadable journal costs no shard, nor does one of an old version.
  const fs::path old = journal.parent_path() / "journal.json";
  fs::rename(journal, old);
  CHECK_THROWS_WITH(CheckpointWriter(target, kInfos, resume), Contains("earlier version"));
  fs::remove(old);
  fs::create_directory(journal);
  CHECK_THROWS_AS(CheckpointWriter(target, kInfos, resume), DataError);
  fs::remove(journal);
  write_file(journal, content);
  CheckpointWriter writer(target, kInfos, resume);
  CHECK(writer.resumed_notes().at("a") == "seen");
  CHECK_FALSE(writer.resumed_notes().contains("b"));
  write_all(writer, kInfos);
  writer.finish({});
  const auto written = Checkpoint::open(target);
  for (const TensorInfo& info : kInfos)
    CHECK(at::equal(written->read(info.name), values_for(info)));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"m"});
}

TEST_CASE("more shards can be written at once than files may be open", "[checkpoint]") {
  const TemporaryFolder folder;
  std::vector<TensorInfo> infos;
  for (int i = 0; i < 100; ++i) infos.push_back({fmt::format("t{:03}", i), at::kFloat, {2}});
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few{64, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  {
    CheckpointWriter writer(folder.path() / "m", infos, {.shard_bytes = 8, .identity = "x"});
    // The first half of every shard, then the second.
    for (int64_t half = 0; half < 2; ++half)
      for (const TensorInfo& info : infos)
        writer.write(info.name, half, values_for(info).narrow(0, half, 1));
    for (const TensorInfo& info : infos) writer.finish_tensor(info.name);
    writer.finish({});
  }
  ::setrlimit(RLIMIT_NOFILE, &before);

  const auto written = Checkpoint::open(folder.path() / "m");
  REQUIRE(written->tensors().size() == 100);
  for (const TensorInfo& info : infos) CHECK(at::equal(written->read(info.name), values_for(info)));
}

TEST_CASE("two writers of one folder exclude each other", "[checkpoint]") {
  const TemporaryFolder folder;
  CheckpointWriter first(folder.path() / "m", kInfos, {.identity = "x"});
  CHECK_THROWS_WITH(CheckpointWriter(folder.path() / "m", kInfos, {.identity = "y"}),
                    Contains("another process is writing"));
  write_all(first, kInfos);
  first.finish({});
  CHECK(Checkpoint::open(folder.path() / "m")->tensors().size() == 3);
}
