/// Plugins from outside: the program loads libraries of libraries/ as a user's.
#include <ATen/ATen.h>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/plugin/internal/exported_text.h"
#include "harness/plugin/plugins.h"
#include "results/plugin_uses.h"
#include "results/store.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::string library(const std::string& name) {
  return (fs::path(ASSAY_TEST_PLUGINS) / (name + ".so")).string();
}

/// What the program prints with these libraries loaded.
ProcessResult with_plugins(const std::vector<std::string>& files,
                           const std::vector<std::string>& arguments) {
  std::vector<std::string> command;
  for (const std::string& file : files) command.insert(command.end(), {"--plugin", file});
  command.insert(command.end(), arguments.begin(), arguments.end());
  return assay_program(command);
}

Json json_of(const ProcessResult& result) {
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  return Json::parse(result.output);
}

const Json* named(const Json& list, const std::string& name) {
  for (const Json& entry : list)
    if (entry.at("name") == name) return &entry;
  return nullptr;
}

/// A sweep of linear models, on a task whose kind is a plugin's, as the architecture is.
class PluginSweep {
 public:
  explicit PluginSweep(const Json& methods) {
    fs::create_directories(path() / "tasks");
    write_file(path() / "tasks/points.json",
               R"({"summary": "points", "kind": "test_points", "tasks": [{"name": "a"}]})");
    write_model("base", {0, 0, 0, 0});
    write_model("one", {1, 0, 0, 1});
    write_model("two", {0, 1, 1, 0});
    write_model("three", {2, 0, 0, 2});
    write_file(path() / "sweep.json",
               Json{{"name", "points"},
                    {"base", "base"},
                    {"expert_sets", {{{"name", "set"}, {"experts", {"one", "two", "three"}}}}},
                    {"tasks", {"points/a"}},
                    {"trained_on",
                     {{"one", {"points/a"}}, {"two", {"points/a"}}, {"three", {"points/a"}}}},
                    {"methods", methods}}
                   .dump());
  }
  fs::path path() const { return folder_.path(); }
  fs::path db() const { return path() / "r.sqlite"; }
  ProcessResult run(const std::vector<std::string>& files, const std::string& workers) const {
    return with_plugins(files, {"run", (path() / "sweep.json").string(), "--db", db().string(),
                                "--workers", workers});
  }
  SweepResults results() const { return Store::open_read_only(db()).load_sweep(""); }
  /// The run of this row.
  RunRecord row(const std::string& name) const {
    for (const auto& placed : results().runs)
      if (placed.placement.row == name) return placed.run;
    throw std::runtime_error("no row " + name);
  }

 private:
  void write_model(const std::string& name, const std::vector<float>& weights) const {
    write_checkpoint(
        path() / name,
        {{"head.bias", at::zeros({2})}, {"head.weight", at::tensor(weights).reshape({2, 2})}},
        {{{"model_type", "test_softmax"}, {"inputs", 2}}, {}, {}, {}}, false);
  }

  TemporaryFolder folder_;
  EnvironmentVariable tasks_{"ASSAY_TASKS_DIR", (folder_.path() / "tasks").string()};
  EnvironmentVariable statistics_{"ASSAY_STATISTICS_DIR", (folder_.path() / "s").string()};
};

/// The same library with another hash.
std::string changed_copy(const std::string& name, const fs::path& folder) {
  fs::create_directories(folder);
  const fs::path copy = folder / (name + ".so");
  write_file(copy, read_file(library(name)) + "\n");
  return copy.string();
}

}  // namespace

TEST_CASE("a plugin's entries are listed and shown with its name and hash", "[plugins]") {
  const std::string file = library("everything");
  const Json plugins = json_of(with_plugins({file}, {"list", "--json", "plugins"}));
  REQUIRE(plugins.size() == 1);
  CHECK(plugins[0]["name"] == "everything");
  CHECK(plugins[0]["path"] == fs::canonical(file).string());
  const std::string hash = plugins[0]["hash"];
  CHECK(hash.size() == 32);
  std::vector<std::string> entries;
  for (const Json& entry : plugins[0]["entries"])
    entries.push_back(
        fmt::format("{} {}", entry["kind"].get<std::string>(), entry["name"].get<std::string>()));
  std::sort(entries.begin(), entries.end());
  CHECK(entries == std::vector<std::string>{"architecture test_softmax", "dataset loader test_dots",
                                            "method test_by_inputs", "method test_half",
                                            "method test_median", "router test_first_values",
                                            "statistic test_input_mean", "task kind test_points",
                                            "text reader test_pairs"});

  const Json methods = json_of(with_plugins({file}, {"list", "--json", "methods"}));
  REQUIRE(named(methods, "test_median"));
  CHECK(named(methods, "test_median")->at("plugin") ==
        Json{{"name", "everything"}, {"hash", hash}});
  CHECK_FALSE(named(methods, "ties")->contains("plugin"));
  CHECK(json_of(with_plugins(
            {file}, {"show", "method", "test_median", "--json"}))["plugin"]["hash"] == hash);
  CHECK(json_of(assay_program({"show", "method", "ties", "--json"}))["plugin"].is_null());
  CHECK_THAT(with_plugins({file}, {"list", "architectures"}).output,
             Contains(fmt::format("[from the plugin everything ({})]", hash.substr(0, 12))));
  CHECK_THAT(with_plugins({file}, {"show", "statistic", "test_input_mean"}).output,
             Contains("from the plugin everything"));
  CHECK_THAT(assay_program({"list", "methods"}).output, !Contains("test_median"));
}

TEST_CASE("ASSAY_PLUGIN_PATH lists files and folders; a library is loaded once", "[plugins]") {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() / "more");
  fs::copy_file(library("everything"), folder.path() / "more/libevery.so");
  write_file(folder.path() / "more/notes.txt", "no library");
  const std::string throwing = library("throwing");
  const EnvironmentVariable path("ASSAY_PLUGIN_PATH",
                                 (folder.path() / "more").string() + "::" + throwing);

  const Json plugins = json_of(with_plugins({throwing}, {"list", "plugins", "--json"}));

  REQUIRE(plugins.size() == 2);
  CHECK(plugins[0]["name"] == "throwing");
  CHECK(plugins[1]["name"] == "every");

  const EnvironmentVariable gone("ASSAY_PLUGIN_PATH", "/nowhere");
  const ProcessResult result = assay_program({"list", "methods"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Contains("ASSAY_PLUGIN_PATH names '/nowhere', which is not there"));
}

TEST_CASE("a plugin that cannot be used is refused with the reason", "[plugins]") {
  const auto [name, reason] = GENERATE(table<std::string, std::string>(
      {{"no_plugin", "is no plugin: it lacks the symbol assay_plugin_abi"},
       {"undefined", "missing_from_all_libraries"},
       {"nothing", "registers nothing"},
       {"throws_while_registering", "failed while it registered itself: no licence"},
       {"throws_a_number", "it threw no std::exception"},
       {"throws_when_opened", "failed while it registered itself: no licence"},
       {"duplicate", "registers the method 'ties', a name that Assay itself has registered"}}));
  const ProcessResult result = with_plugins({library(name)}, {"list", "methods"});
  INFO(result.output);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Contains(reason) && Contains(name + ".so"));
}

TEST_CASE("what is no library at all is refused", "[plugins]") {
  const TemporaryFolder folder;
  const fs::path text = folder.path() / "text.so";
  write_file(text, "not a library");
  const auto refused = [](const std::string& file, const std::string& reason) {
    const ProcessResult result = with_plugins({file}, {"list", "methods"});
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.output, Contains(fmt::format("the plugin '{}' {}", file, reason)));
  };
  refused("/nowhere/mine.so", "is not there");
  refused(folder.path().string(), "is no file");
  refused(text.string(), "is no shared library");
}

TEST_CASE("two plugins with one name are both named", "[plugins]") {
  const TemporaryFolder folder;
  const std::string copy = changed_copy("everything", folder.path());
  const ProcessResult result = with_plugins({library("everything"), copy}, {"list", "plugins"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Contains(fs::canonical(copy).string()) &&
                                Contains(fs::canonical(library("everything")).string()) &&
                                Contains("has registered already"));
}

TEST_CASE("nothing of a plugin for another interface runs, and both versions are named",
          "[plugins]") {
  const TemporaryFolder folder;
  const EnvironmentVariable ran("ASSAY_TEST_RAN", (folder.path() / "ran").string());
  const ProcessResult result = with_plugins({library("other_interface")}, {"list", "methods"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output,
             Contains("'plugin interface 0, of long ago'") && Contains(std::string(plugin_abi())));
  CHECK_FALSE(fs::exists(folder.path() / "ran"));
}

TEST_CASE("the ABI says interface, compiler, libraries and headers", "[plugins]") {
  CHECK_THAT(
      std::string(plugin_abi()),
      Catch::Matchers::Matches("plugin interface 1, (GCC|Clang) [0-9]+, lib(std)?c\\+\\+ .*, "
                               "LibTorch [0-9.]+.*, headers [0-9a-f]{16}"));
}

TEST_CASE("a damaged library is refused before it is opened", "[plugins]") {
  const std::string whole = read_file(library("no_plugin"));
  const auto text_of = [](std::string_view bytes, const std::string& symbol) {
    return exported_text(bytes, symbol, "the plugin");
  };
  CHECK(text_of(whole, "assay_plugin_abi") == std::nullopt);
  CHECK(text_of(read_file(library("everything")), "assay_plugin_abi") == std::string(plugin_abi()));
  const auto is_refused = [&](std::string_view bytes) {
    try {
      text_of(bytes, "assay_plugin_abi");
      return false;
    } catch (const UserError&) {
      return true;
    }
  };
  size_t accepted = 0;
  for (size_t size = 0; size < whole.size(); size += 13)
    accepted += is_refused(std::string_view(whole).substr(0, size)) ? 0 : 1;
  CHECK(accepted == 0);
  for (size_t at = 0; at < whole.size(); at += 5) {  // any bytes: no crash
    std::string broken = whole;
    for (size_t i = at; i < std::min(at + 8, broken.size()); ++i) broken[i] = '\xff';
    is_refused(broken);
  }
}

TEST_CASE("a sweep uses plugins in every role, with workers or without", "[plugins]") {
  const PluginSweep sweep({"average", "test_median", "test_by_inputs"});
  const std::string file = library("everything");
  const ProcessResult first = sweep.run({file}, "0");
  INFO(first.output);
  REQUIRE(first.exit_code == 0);

  // The median of 1, 0, 2 on the diagonal, of 0, 1, 0 beside it: every point is told right.
  const RunRecord median = sweep.row("test_median");
  CHECK(median.scores.at(0).value == 1.0);
  const std::string hash = Hasher().bytes(read_file(file).data(), read_file(file).size()).hex();
  const std::vector<PluginUse> uses = plugin_uses(median);
  CHECK(std::find(uses.begin(), uses.end(),
                  PluginUse{"method", "test_median", "everything", hash}) != uses.end());
  CHECK(std::find(uses.begin(), uses.end(),
                  PluginUse{"architecture", "test_softmax", "everything", hash}) != uses.end());
  CHECK(std::find(uses.begin(), uses.end(), PluginUse{"task", "points/a", "everything", hash}) !=
        uses.end());
  const RunRecord seen = sweep.row("test_by_inputs");
  const std::vector<PluginUse> of_statistic = plugin_uses(seen);
  CHECK(std::find(of_statistic.begin(), of_statistic.end(),
                  PluginUse{"statistic", "test_input_mean", "everything", hash}) !=
        of_statistic.end());
  // Of the points (2, 1), (0, 1), (3, 0), (-1, 2).
  CHECK(seen.diagnostics.at("mean_input").get<double>() == Approx(1.0));

  SECTION("workers give the same, and find what is done") {
    const ProcessResult again = sweep.run({file}, "2");
    CHECK(again.exit_code == 0);
    CHECK_THAT(again.output, Contains("0 cells run"));
    fs::rename(sweep.db(), sweep.path() / "first.sqlite");
    REQUIRE(sweep.run({file}, "2").exit_code == 0);
    CHECK(sweep.row("test_median").key == median.key);
    CHECK(sweep.row("test_median").diagnostics == median.diagnostics);
    CHECK(sweep.row("test_by_inputs").key == seen.key);
  }
  SECTION("another build of the library is another result") {
    const std::string other = changed_copy("everything", sweep.path() / "other");
    REQUIRE(sweep.run({other}, "1").exit_code == 0);
    CHECK(sweep.row("test_median").key != median.key);
    CHECK(sweep.row("test_by_inputs").statistics != seen.statistics);
  }
  SECTION("the report needs no plugin, and names it") {
    const ProcessResult report = assay_program({"report", sweep.db().string(), "--format", "md"});
    INFO(report.output);
    CHECK(report.exit_code == 0);
    CHECK_THAT(report.output,
               Contains("from the plugin everything") && Contains(hash) && Contains("Plugins"));
    const ProcessResult json = assay_program({"report", sweep.db().string(), "--format", "json"});
    const Json report_json = Json::parse(json.output);
    int found = 0;
    for (const Json& row : report_json["rows"]) {
      if (row["name"] != "test_median") continue;
      ++found;
      CHECK(row["plugins"].size() == 3);
    }
    CHECK(found > 0);
  }
}

TEST_CASE("a method that throws fails its cell alone", "[plugins]") {
  const std::string workers = GENERATE("0", "1");
  const bool exception = GENERATE(true, false);
  const PluginSweep sweep(
      {"average", {{"method", "test_throwing"}, {"parameters", {{"exception", exception}}}}});
  const ProcessResult result = sweep.run({library("everything"), library("throwing")}, workers);
  INFO(result.output);
  CHECK(result.exit_code == 4);
  CHECK(sweep.row("average").status == RunStatus::kOk);
  const RunRecord thrown = sweep.row("test_throwing");
  CHECK(thrown.status == RunStatus::kFailed);
  CHECK_THAT(thrown.reason, Contains(exception ? "out of patience" : "test_throwing failed") &&
                                !Contains("ended early"));
}

TEST_CASE("a merge to a folder says which plugins made it", "[plugins]") {
  const PluginSweep sweep(Json::array());
  write_file(sweep.path() / "merge.json",
             Json{{"method", "test_median"},
                  {"experts",
                   {(sweep.path() / "one").string(), (sweep.path() / "two").string(),
                    (sweep.path() / "three").string()}}}
                 .dump());
  const ProcessResult result = with_plugins(
      {library("everything")},
      {"merge", (sweep.path() / "merge.json").string(), "-o", (sweep.path() / "out").string()});
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  const Json origin = read_json(sweep.path() / "out/assay.json");
  CHECK(origin["plugins"]["method test_median"]["name"] == "everything");
  CHECK(assay_program({"merge", (sweep.path() / "merge.json").string(), "-o",
                       (sweep.path() / "out2").string()})
            .exit_code == 2);
}
