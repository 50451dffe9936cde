/// End-to-end tests of merges into wider networks.
#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/model/architecture.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/temporary_folder.h"
#include "tests/skip.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Two untrained networks of digits, "a" and "b", and a merge of them by PLeaS.
class WiderMerge {
 public:
  WiderMerge() {
    const Json config{{"model_type", "cifar_resnet"},
                      {"depth", 8},
                      {"width", 4},
                      {"channels", 1},
                      {"image_size", 28},
                      {"classes", 20}};
    const auto architecture = make_architecture(JsonReader(config, "test"));
    for (const std::string name : {"a", "b"})
      write_checkpoint(folder_.path() / name, architecture->initial_weights(name == "a" ? 1 : 2),
                       {config, {}, {}, {}}, false);
  }
  ProcessResult run(const Json& parameters, const std::vector<std::string>& flags) const {
    write_file(folder_.path() / "merge.json",
               Json{{"method", "pleas"},
                    {"parameters", parameters},
                    {"experts", {"a", "b"}},
                    {"calibration",
                     {{"tasks", {{"a", {"digits/mnist-012"}}, {"b", {"digits/mnist-345"}}}},
                      {"examples", 16}}}}
                   .dump());
    std::vector<std::string> words{"merge", (folder_.path() / "merge.json").string()};
    words.insert(words.end(), flags.begin(), flags.end());
    return assay_program(words);
  }
  fs::path merged() const { return folder_.path() / "merged"; }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("a merge into a wider network is planned without data", "[cli]") {
  const WiderMerge merge;
  const ProcessResult result = merge.run({{"ratio", 0.5}}, {"--explain", "--json"});
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  const Json plan = Json::parse(result.output);
  for (const Json& tensor : plan.at("tensors"))
    if (tensor.at("name") == "conv1.weight") CHECK(tensor.at("shape") == Json{6, 1, 3, 3});
  CHECK_THAT(plan.at("config_changes").dump(), Contains("stream_widths"));
}

TEST_CASE("a merge file makes a wider network", "[cli]") {
  const WiderMerge merge;
  const ProcessResult result =
      merge.run({{"budget", 1.5}}, {"-o", merge.merged().string(), "--device", "cpu"});
  INFO(result.output);
  constexpr int kNoData = 3;
  if (result.exit_code == kNoData && result.output.find("data fetch") != std::string::npos)
    testing::skip("the digits were not fetched");
  REQUIRE(result.exit_code == 0);
  const auto made = Checkpoint::open(merge.merged());
  CHECK(made->find("conv1.weight")->shape.front() > 4);
  const auto wide = make_architecture(JsonReader(made->config(), "merged"));
  for (const TensorInfo& info : wide->tensors()) CHECK(made->find(info.name)->shape == info.shape);
}
