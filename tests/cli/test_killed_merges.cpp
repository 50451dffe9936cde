// Killed merges: their leftovers, and --resume.
#include <ATen/ATen.h>
#include <signal.h>
#include <unistd.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "harness/core/rng.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;

namespace {

/// A base and three experts of 24 MB in 24 tensors, and a TIES merge of them into 24 shards.
class LargeMerge {
 public:
  LargeMerge() {
    for (uint64_t model = 0; model < 4; ++model) {
      StateDict tensors;
      for (uint64_t i = 0; i < 24; ++i)
        tensors[fmt::format("layer.{:02}.w", i)] =
            testing::noise({500, 500}, i) + .1f * testing::noise({500, 500}, 100 * model + i);
      write_checkpoint(path() / name(model), tensors, {}, false);
    }
    write_file(
        path() / "merge.json",
        Json{{"method", "ties"}, {"base", "model0"}, {"experts", {"model1", "model2", "model3"}}}
            .dump());
  }
  fs::path path() const { return folder_.path(); }
  fs::path output() const { return path() / "out"; }
  std::vector<std::string> command(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{ASSAY_PROGRAM,  "merge", path() / "merge.json", "-o", output(),
                                   "--shard-size", "1MB"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// Starts the merge and kills it after this time; true when it was still running.
  bool kill_after(double seconds, const std::vector<std::string>& more = {}) const {
    ChildProcess child(command(more));
    ::usleep(static_cast<useconds_t>(seconds * 1e6));
    ::kill(child.pid(), SIGKILL);
    return child.wait() != 0;
  }

 private:
  static std::string name(uint64_t model) { return "model" + std::to_string(model); }
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("a killed merge leaves no partial folder, and can be resumed", "[cli]") {
  const LargeMerge merge;
  REQUIRE(run_process(merge.command()).exit_code == 0);
  const std::string expected = Checkpoint::open(merge.output())->content_hash();

  for (uint64_t kill = 0; kill < 10; ++kill) {
    fs::remove_all(merge.output());
    // The program's start takes a large part of a second; a kill may be too late or too early.
    const double delay = 1.5 * philox_uniform(1, kill);
    CAPTURE(delay);
    merge.kill_after(delay, {"--resume"});
    // The complete folder or none.
    if (fs::exists(merge.output()))
      CHECK(Checkpoint::open(merge.output())->content_hash() == expected);
    fs::remove_all(merge.output());
    const ProcessResult resumed = run_process(merge.command({"--resume"}));
    INFO(resumed.output);
    REQUIRE(resumed.exit_code == 0);
    CHECK(Checkpoint::open(merge.output())->content_hash() == expected);
  }
}

TEST_CASE("a killed replacement leaves the old folder unchanged", "[cli]") {
  const LargeMerge merge;
  write_checkpoint(merge.output(), {{"old", at::ones({1})}}, {}, false);
  const std::string old = Checkpoint::open(merge.output())->content_hash();
  // Before the merge can finish.
  REQUIRE(merge.kill_after(0.05, {"--replace"}));
  CHECK(Checkpoint::open(merge.output())->content_hash() == old);

  // Its leftovers do not prevent a later merge.
  REQUIRE(run_process(merge.command({"--replace"})).exit_code == 0);
  CHECK(Checkpoint::open(merge.output())->tensors().size() == 24);
}
