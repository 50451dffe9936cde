// Routers, modifiers, readers of text and loaders of images that plugins bring, each used in a
// sweep.
#include <fmt/format.h>

#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "results/plugin_uses.h"
#include "results/store.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

std::string everything() { return (fs::path(ASSAY_TEST_PLUGINS) / "everything.so").string(); }

ProcessResult with_plugin(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--plugin", everything()});
  ProcessResult result = assay_program(arguments);
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  return result;
}

/// The entry of this name in a list that was printed as JSON.
Json listed(const std::string& what, const std::string& name) {
  for (const Json& entry : Json::parse(with_plugin({"list", "--json", what}).output))
    if (entry.at("name") == name) return entry;
  return nullptr;
}

/// A sweep over models "base", "one" and "two" and a task "suite/a".
class SmallSweep {
 public:
  SmallSweep(const Json& config, const Json& suite) : tasks_("ASSAY_TASKS_DIR", path("tasks")) {
    fs::create_directories(path("tasks"));
    write_file(path("tasks/suite.json"), suite.dump());
    const auto network = make_architecture(JsonReader(config, "a test"));
    uint64_t seed = 0;
    for (const char* name : {"base", "one", "two"})
      write_checkpoint(path(name), network->initial_weights(seed++), {config, {}, {}, {}}, false);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  void run(const Json& methods) const {
    write_file(path("sweep.json"),
               Json{{"name", "small"},
                    {"base", "base"},
                    {"expert_sets", {{{"name", "set"}, {"experts", {"one", "two"}}}}},
                    {"tasks", {"suite/a"}},
                    {"trained_on", {{"one", {"suite/a"}}, {"two", {"suite/a"}}}},
                    {"methods", methods}}
                   .dump());
    with_plugin({"run", path("sweep.json"), "--db", path("r.sqlite"), "--workers", "0"});
  }
  /// Whether the row's run says that it used this entry.
  bool used(const std::string& row, const std::string& kind, const std::string& name) const {
    const std::string bytes = read_file(everything());
    const std::string hash = Hasher().bytes(bytes.data(), bytes.size()).hex();
    const SweepResults results = Store::open_read_only(path("r.sqlite")).load_sweep("");
    for (const auto& placed : results.runs) {
      if (placed.placement.row != row) continue;
      const std::vector<PluginUse> uses = plugin_uses(placed.run);
      return std::find(uses.begin(), uses.end(), PluginUse{kind, name, "everything", hash}) !=
             uses.end();
    }
    FAIL("no row " << row);
    return false;
  }
  std::string report() const {
    return assay_program({"report", path("r.sqlite"), "--format", "md"}).output;
  }

 private:
  TemporaryFolder folder_;
  EnvironmentVariable tasks_;
};

}  // namespace

TEST_CASE("a plugin's router, modifier and reader of text are used, listed and reported",
          "[plugins]") {
  Json config = small_llama_config();
  config["vocab_size"] = 256;  // bytes
  const Json data{{"files", {{"test", "pairs.jsonl"}}}, {"reader", "test_pairs"}};
  const SmallSweep sweep(
      config,
      {{"summary", "pairs"},
       {"kind", "multiple_choice"},
       {"tasks",
        {{{"name", "a"}, {"dataset", data}, {"prompt", "Q"}, {"choices", "{{choices}}"}}}}});
  write_file(sweep.path("tasks/pairs.jsonl"), "{\"pair\": [\"a\", \"b\"]}\n");

  sweep.run({{{"method", "moe"}, {"parameters", {{"router", "test_first_values"}}}}, "test_half"});

  CHECK(sweep.used("moe", "router", "test_first_values"));
  CHECK(sweep.used("moe", "text reader", "test_pairs"));
  CHECK(sweep.used("test_half", "method", "test_half"));
  CHECK_FALSE(sweep.used("test_half", "router", "test_first_values"));

  CHECK(listed("routers", "test_first_values")["plugin"]["name"] == "everything");
  CHECK_FALSE(listed("routers", "random").contains("plugin"));
  CHECK(listed("tasks", "suite/a")["plugin"]["name"] == "everything");
  CHECK_THAT(with_plugin({"show", "router", "test_first_values"}).output,
             Contains("from the plugin everything"));
  CHECK_THAT(with_plugin({"show", "method", "test_half"}).output,
             Contains("from the plugin everything"));
  const Json task = Json::parse(with_plugin({"show", "task", "suite/a"}).output);
  CHECK(task["data_plugin"]["name"] == "everything");
  CHECK(task["plugin"].is_null());
  CHECK_THAT(sweep.report(), Contains("test_first_values") && Contains("test_pairs") &&
                                 Contains("from the plugin everything"));
}

TEST_CASE("a plugin's loader of images reads the data of a manifest of the user's own",
          "[plugins]") {
  const SmallSweep sweep(
      {{"model_type", "mlp"}, {"inputs", 784}, {"hidden", 2}, {"classes", 2}},
      {{"summary", "dots"},
       {"kind", "image_classification"},
       {"tasks", {{{"name", "a"}, {"dataset", "dots"}, {"classes", 2}, {"labels", {0, 1}}}}}});
  const std::string labels = "0\n1\n0\n1\n0\n1\n";
  fs::create_directories(sweep.path("datasets"));
  fs::create_directories(sweep.path("data/dots"));
  write_file(sweep.path("data/dots/labels.txt"), labels);
  const Json pypi{{"project", "none"}, {"version", "1"}, {"sha256", std::string(64, '0')}};
  Json manifest{{"title", "dots"},
                {"licence", "none"},
                {"loader", "test_dots"},
                {"source", {{"pypi", pypi}}},
                {"files", {{{"member", "labels.txt"}, {"sha256", sha256_bytes(labels)}}}},
                {"options", Json::object()}};
  write_file(sweep.path("datasets/dots.json"), manifest.dump());
  const EnvironmentVariable manifests("ASSAY_DATASETS_DIR", sweep.path("datasets"));
  const EnvironmentVariable folder("ASSAY_DATA_DIR", sweep.path("data"));

  sweep.run({"average"});

  CHECK(sweep.used("average", "dataset loader", "test_dots"));
  CHECK(listed("datasets", "dots")["plugin"]["name"] == "everything");
  CHECK_FALSE(listed("datasets", "optdigits").contains("plugin"));
  CHECK(listed("tasks", "suite/a")["plugin"]["name"] == "everything");
  CHECK_THAT(sweep.report(), Contains("dataset loader") && Contains("test_dots"));

  manifest["options"]["without_splits"] = true;
  write_file(sweep.path("datasets/dots.json"), manifest.dump());
  const ProcessResult wrong =
      assay_program({"--plugin", everything(), "run", sweep.path("sweep.json"), "--db",
                     sweep.path("wrong.sqlite"), "--workers", "0"});
  CAPTURE(wrong.output);
  CHECK(wrong.exit_code == DataError::kExitCode);
  CHECK_THAT(wrong.output,
             Contains("the loader 'test_dots' of the plugin 'everything' of the dataset 'dots' "
                      "gives 6 images, 6 labels and 0 splits"));
}
