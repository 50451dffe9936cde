// Merges to disk: nothing but the inputs decides about the bytes.
#include "harness/merge/merge_folder.h"

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// A base and three experts in bfloat16 with a tensor of several parts, small ones and a counter.
class Checkpoints {
 public:
  Checkpoints() {
    for (uint64_t model = 0; model < 4; ++model) {
      const auto tensor = [&](at::IntArrayRef shape, uint64_t number) {
        return (noise(shape, number) + .1f * noise(shape, model * 100 + number)).to(at::kBFloat16);
      };
      write_checkpoint(folder_.path() / name(model),
                       {{"embed", tensor({3000, 900}, 1)},  // 2.7 M elements: three parts
                        {"layer.0.w", tensor({300, 200}, 2)},
                        {"layer.1.w", tensor({300, 200}, 3)},
                        {"norm", tensor({200}, 4)},
                        {"steps", at::tensor({static_cast<int64_t>(model)})}},
                       {{{"model_type", "none"}}, Json(), "", {}}, false);
    }
  }
  static std::string name(uint64_t model) {
    return model == 0 ? "base" : "expert" + std::to_string(model);
  }
  MergeRequest request(const std::string& method) const {
    write_file(path() / "merge.json", Json{{"method", method},
                                           {"base", "base"},
                                           {"experts", {"expert1", "expert2", "expert3"}},
                                           {"seed", 7}}
                                          .dump());
    return MergeRequest::read(path() / "merge.json");
  }
  fs::path path() const { return folder_.path(); }
  /// The content hash of what the merge gives.
  std::string merged(const std::string& method, FolderOptions options,
                     const std::vector<std::string>& order = {}) const {
    MergeRequest merge = request(method);
    merge.inputs.order = order;
    options.replace = true;
    merge_to_folder(merge, options, path() / "out");
    return Checkpoint::open(path() / "out")->content_hash();
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("threads, memory, shards and order leave the bytes of a merge alone", "[merge]") {
  const Checkpoints checkpoints;
  for (const char* method :
       {"average", "ties", "ties@mergekit", "dare_ties", "dare@mergekit", "karcher", "mlerp"}) {
    CAPTURE(method);
    const std::string expected = checkpoints.merged(method, {});
    for (const int threads : {1, 2, 4}) {
      const Threads several(threads);
      CHECK(checkpoints.merged(method, {}) == expected);
    }
    CHECK(checkpoints.merged(method, {.memory_bytes = 64 << 20}) == expected);
    CHECK(checkpoints.merged(method, {.memory_bytes = int64_t{8} << 30}) == expected);
    CHECK(checkpoints.merged(method, {.shard_bytes = 1}) == expected);
    CHECK(checkpoints.merged(method, {.shard_bytes = 200000}) == expected);
    CHECK(checkpoints.merged(method, {}, {"steps", "norm", "layer.0.w", "embed", "layer.1.w"}) ==
          expected);
  }
}

TEST_CASE("a merge to a folder is the merge in memory", "[merge]") {
  const Checkpoints checkpoints;
  for (const char* method : {"task_arithmetic", "ties", "dare_ties"}) {
    CAPTURE(method);
    const std::string hash = checkpoints.merged(method, {});
    MergeRequest request = checkpoints.request(method);
    const StateDict merged = merge_to_memory(*request.groups.front().method, request.inputs);
    CHECK(MemorySource("merged", merged).content_hash() == hash);
  }
}

TEST_CASE("the hashes on the card are those of the inputs", "[merge]") {
  const Checkpoints checkpoints;
  MergeRequest request = checkpoints.request("ties");
  const MergeReport report = merge_to_folder(request, {}, checkpoints.path() / "out");

  CHECK(report.base_hash == Checkpoint::open(checkpoints.path() / "base")->content_hash());
  REQUIRE(report.expert_hashes.size() == 3);
  CHECK(report.expert_hashes[1] ==
        Checkpoint::open(checkpoints.path() / "expert2")->content_hash());

  MergeRequest average = checkpoints.request("average");
  const MergeReport without = merge_to_folder(average, {}, checkpoints.path() / "average");
  CHECK_FALSE(without.base_hash);  // it is not read
  CHECK_THAT(read_file(checkpoints.path() / "average" / "README.md"), Contains("not read"));
}

TEST_CASE("too little memory and a folder in the way are refused before anything is read",
          "[merge]") {
  const Checkpoints checkpoints;
  MergeRequest request = checkpoints.request("average");
  CHECK_THROWS_WITH(merge_to_folder(request, {.memory_bytes = 1 << 20}, checkpoints.path() / "out"),
                    Contains("at least 64 MiB") && Contains("1 MiB"));
  CHECK_THROWS_WITH(merge_to_folder(request, {}, checkpoints.path() / "base"),
                    Contains("exists already"));
  CHECK_FALSE(fs::exists(checkpoints.path() / "out"));
}
