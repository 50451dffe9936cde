/// End-to-end tests of `assay run` and `assay db`.
#include <signal.h>
#include <unistd.h>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "harness/model/architecture.h"
#include "results/store.h"
#include "tests/catch.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// A sweep over three tiny language models and a text whose perplexity is scored.
class TextSweep {
 public:
  explicit TextSweep(const std::string& text = "the end of the world") {
    fs::create_directories(path() / "tasks");
    write_file(path() / "d.jsonl", Json{{"text", text}}.dump() + "\n");
    const std::string data = (path() / "d.jsonl").string();
    write_file(path() / "tasks" / "s.json",
               Json{{"summary", "a text"},
                    {"kind", "perplexity"},
                    {"tasks",
                     {{{"name", "t"},
                       {"dataset", {{"files", {{"test", data}, {"validation", data}}}}},
                       {"text", "{{text}}"}}}}}
                   .dump());
    for (uint64_t seed = 0; seed < 3; ++seed) write_model(seed);
    json_ = {{"name", "texts"},
             {"base", "m0"},
             {"expert_sets", {{{"name", "set"}, {"experts", {"m1", "m2"}}}}},
             {"tasks", {"s/t"}},
             {"trained_on", {{"m1", {"s/t"}}}},
             {"methods", {"average"}}};
  }
  Json& json() { return json_; }
  fs::path path() const { return folder_.path(); }
  fs::path db() const { return path() / "r.sqlite"; }
  std::vector<std::string> command(const std::string& subcommand = "run") const {
    write_file(path() / "sweep.json", json_.dump());
    if (subcommand == "eval")
      return {ASSAY_PROGRAM, "eval", (path() / "m1").string(), "--tasks", "s/t"};
    return {ASSAY_PROGRAM, "run", (path() / "sweep.json").string(), "--db", db().string()};
  }

 private:
  void write_model(uint64_t seed) const {
    Json config = Json::parse(architectures().at("llama", "a test").example);
    config["model_type"] = "llama";
    const fs::path tokenizer = fs::path(ASSAY_TESTS_FOLDER) / "golden/tokenizer/llama3";
    config["vocab_size"] = 1000;
    const auto architecture = make_architecture(JsonReader(config, "$"));
    const fs::path folder = path() / fmt::format("m{}", seed);
    write_checkpoint(folder, architecture->initial_weights(seed), {config, {}, {}, {}}, false);
    fs::copy_file(tokenizer / "tokenizer.json", folder / "tokenizer.json");
    write_file(folder / "tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})");
  }

  TemporaryFolder folder_;
  EnvironmentVariable tasks_{"ASSAY_TASKS_DIR", (folder_.path() / "tasks").string()};
  Json json_;
};

}  // namespace

TEST_CASE("a sweep or evaluation with failed work has its own exit code", "[cli]") {
  const bool scored = GENERATE(true, false);
  const TextSweep sweep(scored ? "the end of the world" : "");

  const ProcessResult run = run_process(sweep.command());
  const ProcessResult eval = run_process(sweep.command("eval"));

  INFO(run.output << eval.output);
  CHECK(run.exit_code == (scored ? 0 : 4));
  CHECK(eval.exit_code == (scored ? 0 : 4));
  if (!scored) CHECK_THAT(run.output, Contains("cell(s) failed"));
}

TEST_CASE("an interrupted sweep reports what is stored, and continues from there", "[cli]") {
  TextSweep sweep;
  sweep.json()["methods"] = {{{"method", "dare"}}};
  for (int seed = 0; seed < 1500; ++seed) sweep.json()["seeds"].push_back(seed);
  const int signal = GENERATE(SIGINT, SIGTERM);
  const std::string workers = GENERATE("0", "1");
  std::vector<std::string> command = sweep.command();
  command.insert(command.end(), {"--workers", workers});
  const fs::path said = sweep.path() / "said";
  std::string line;
  for (const std::string& word : command) line += "'" + word + "' ";

  ChildProcess child({"sh", "-c", "exec " + line + "2> '" + said.string() + "'"});
  size_t seen = 0;
  for (int tries = 0; tries < 3000 && seen < 20; ++tries) {
    ::usleep(10000);
    if (!fs::exists(sweep.db())) continue;
    try {
      seen = Store::open_read_only(sweep.db()).load_sweep("").runs.size();
    } catch (const std::exception&) {
      // not made yet
    }
  }
  ::kill(child.pid(), signal);
  const int code = child.wait();

  INFO(read_file(said));
  CHECK(code == 128 + signal);
  CHECK_THAT(read_file(said),
             Contains("stopped; ") && Contains("r.sqlite") && Contains("resumes from there"));
  const SweepResults results = Store::open_read_only(sweep.db()).load_sweep("");
  CHECK(results.runs.size() >= seen);
  CHECK(results.finished_at.empty());
  for (const auto& placed : results.runs) CHECK(placed.run.status == RunStatus::kOk);
  CHECK(integrity(sweep.db()) == "ok");
}

TEST_CASE("a dry run says how many workers there would be", "[cli]") {
  const TextSweep sweep;
  const auto workers = [&](const std::vector<std::string>& options) {
    std::vector<std::string> command = sweep.command();
    command.insert(command.end(), {"--dry-run", "--json", "--quiet"});
    command.insert(command.end(), options.begin(), options.end());
    return Json::parse(run_process(command).output).at("workers");
  };

  const Json chosen = workers({"--threads", "2"});
  CHECK(chosen.at("count") == 2);
  CHECK(chosen.at("threads") == 1);
  CHECK_THAT(chosen.at("why").get<std::string>(), Contains("M values"));
  CHECK(workers({"--threads", "1"}).at("count") == 1);
  const Json given = workers({"--threads", "4", "--workers", "1"});
  CHECK(given.at("count") == 1);
  CHECK(given.at("threads") == 4);
}

TEST_CASE("a result says which files names stood for, and does not depend on it", "[cli]") {
  TextSweep sweep;
  sweep.command();  // writes it
  fs::rename(sweep.path() / "d.jsonl", sweep.path() / "there.jsonl");
  const EnvironmentVariable data("ASSAY_DATA_DIR", sweep.path().string());
  Json suite = read_json(sweep.path() / "tasks/s.json");
  suite["tasks"][0]["dataset"]["files"] = {{"test", "there.jsonl"}, {"validation", "there.jsonl"}};
  write_file(sweep.path() / "tasks/s.json", suite.dump());
  fs::create_symlink("sweep.json", sweep.path() / "link.json");
  const auto run = [&](const std::string& name) {
    const ProcessResult result =
        run_process({"/bin/sh", "-c",
                     fmt::format("cd '{}' && '{}' run {} --db r.sqlite --workers 0",
                                 sweep.path().string(), ASSAY_PROGRAM, name)});
    INFO(result.output);
    REQUIRE(result.exit_code == 0);
    return Store::open_read_only(sweep.db()).load_sweep("");
  };
  const auto found = [](const SweepResults& results) {
    std::vector<std::vector<std::string>> lines;
    for (const FoundName& name : results.sweep.found)
      lines.push_back({name.what, name.name, name.path});
    return lines;
  };
  const auto real = [&](const std::string& name) {
    return fs::canonical(sweep.path() / name).string();
  };

  const SweepResults first = run("./sweep.json"), second = run("link.json");

  CHECK(found(first) ==
        std::vector<std::vector<std::string>>{{"sweep file", "./sweep.json", real("sweep.json")},
                                              {"suite", "s", real("tasks/s.json")},
                                              {"data", "there.jsonl", real("there.jsonl")}});
  CHECK(found(second).front() ==
        std::vector<std::string>{"sweep file", "link.json", real("sweep.json")});
  CHECK(first.sweep.config == sweep.json());
  CHECK(second.sweep.config == sweep.json());
  CHECK(second.sweep.hash == first.sweep.hash);
  REQUIRE(second.runs.size() == first.runs.size());
  for (size_t i = 0; i < first.runs.size(); ++i)
    CHECK(second.runs[i].run.key == first.runs[i].run.key);
}

TEST_CASE("a store is verified from the command line", "[cli]") {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "r.sqlite";
  fill_store(path, fake::results());
  const auto verify = [&] { return run_process({ASSAY_PROGRAM, "db", "verify", path}); };

  CHECK(verify().exit_code == 0);
  CHECK_THAT(verify().output, Contains("sound") && Contains("4 runs"));
  {
    SQLite::Database database(path, SQLite::OPEN_READWRITE);
    database.exec("DELETE FROM scores WHERE run = (SELECT id FROM runs WHERE key = 'k-base')");
  }
  CHECK(verify().exit_code == 3);
  CHECK_THAT(verify().output, Contains("k-base"));
}
