// Mixtures by mergekit-moe's configurations, with the gates that mergekit 0.1.5 makes of the same
// prompts: scripts/peers/mergekit_moe.py wrote them, with hidden states in float32.
#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kMoeGoldens = fs::path(ASSAY_TESTS_FOLDER) / "golden" / "mergekit_moe";

}  // namespace

TEST_CASE("gates of prompts are mergekit's", "[cli][mergekit][moe]") {
  const TemporaryFolder folder;
  for (const std::string name : {"cheap_embed", "hidden", "hidden_avg"}) {
    CAPTURE(name);
    const fs::path out = folder.path() / name;
    const ProcessResult done =
        assay_program({"merge", (kMoeGoldens / (name + ".yaml")).string(), "-o", out.string()});
    INFO(done.output);
    REQUIRE(done.exit_code == 0);
    const auto made = Checkpoint::open(out);
    const auto wanted = Checkpoint::open(kMoeGoldens / (name + ".safetensors"));
    REQUIRE(wanted->tensors().size() == 2);
    for (const TensorInfo& info : wanted->tensors()) {
      CAPTURE(info.name);
      CHECK((made->read(info.name) - wanted->read(info.name)).abs().max().item<double>() <= 1e-5);
    }
    const auto expert = Checkpoint::open(kMoeGoldens / "b");
    CHECK(at::equal(made->read("model.layers.1.block_sparse_moe.experts.1.w2.weight"),
                    expert->read("model.layers.1.mlp.down_proj.weight") * 0.5));
    CHECK(made->config().at("num_experts_per_tok") == (name == "hidden_avg" ? 1 : 2));
  }
}

TEST_CASE("prompts are explained and kept with the merge", "[cli][mergekit][moe]") {
  const ProcessResult explained =
      assay_program({"merge", "--explain", (kMoeGoldens / "hidden.yaml").string()});
  INFO(explained.output);
  REQUIRE(explained.exit_code == 0);
  CHECK_THAT(explained.output, Contains("block_sparse_moe.experts.2.w3.weight"));
}
