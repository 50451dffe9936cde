/// End-to-end tests of `assay statistics`, and of merges that look at data.
#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/writer.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/environment_variable.h"
#include "tests/lm/encoder_models.h"
#include "tests/model/language_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Two tiny language models, "a" and "b", with a task each: "s/a" and "s/b".
class Workspace {
 public:
  Workspace() {
    Json config = example_config("llama");
    config["vocab_size"] = 32;
    Json tasks = Json::array();
    for (const std::string name : {"a", "b"}) {
      const uint64_t seed = name == "a" ? 1 : 2;
      write_checkpoint(path() / name, language(config)->initial_weights(seed), {config, {}, {}, {}},
                       false);
      write_file(path() / name / "tokenizer.json", plain_word_tokenizer());
      const std::string file = (path() / (name + ".jsonl")).string();
      write_file(file, Json{{"text", name == "a" ? "t4 t5 t6" : "t8"}, {"answer", "t9"}}.dump() +
                           "\n" + Json{{"text", "t10 t11"}, {"answer", "t12 t13"}}.dump() + "\n");
      tasks.push_back({{"name", name},
                       {"dataset", {{"files", {{"validation", file}}}}},
                       {"prompt", "{{text}}"},
                       {"target", "{{answer}}"}});
    }
    write_file(path() / "tasks/s.json",
               Json{{"summary", "texts"}, {"kind", "generation"}, {"tasks", tasks}}.dump());
  }

  const fs::path& path() const { return folder_.path(); }
  fs::path file(const std::string& model) const { return path() / (model + ".safetensors"); }
  /// Without a name, the file is kept in the folder of statistics.
  ProcessResult compute(const std::string& model, bool named = true) const {
    std::vector<std::string> words{"statistics", "compute",    "input_gram", path() / model,
                                   "--task",     "s/" + model, "--device",   "cpu"};
    if (named) words.insert(words.end(), {"-o", file(model)});
    return assay_program(words);
  }
  ProcessResult merge(const Json& more, const std::string& output = "merged",
                      const std::string& flag = "--json") const {
    Json json{{"method", "regmean"}, {"experts", {"a", "b"}}};
    json.update(more);
    write_file(path() / "merge.json", json.dump());
    return assay_program({"merge", path() / "merge.json", "-o", path() / output, flag});
  }
  Json calibration() const {
    return {{"calibration", {{"tasks", {{"a", {"s/a"}}, {"b", {"s/b"}}}}}}};
  }
  /// The hash of the merged weights.
  std::string merged(const std::string& output) const {
    return Checkpoint::open(path() / output)->content_hash();
  }
  size_t kept_files() const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(path() / "kept"))
      count += entry.path().extension() == ".safetensors" ? 1 : 0;
    return count;
  }

 private:
  TemporaryFolder folder_;
  EnvironmentVariable tasks_{"ASSAY_TASKS_DIR", (folder_.path() / "tasks").string()};
  EnvironmentVariable statistics_{"ASSAY_STATISTICS_DIR", (folder_.path() / "kept").string()};
};

void check_exit(const ProcessResult& result, int code) {
  INFO(result.output);
  CHECK(result.exit_code == code);
}

}  // namespace

TEST_CASE("a statistic that is not there is refused by its name", "[cli]") {
  const ProcessResult shown = assay_program({"statistics", "show", "none.safetensors"});
  check_exit(shown, 3);
  CHECK_THAT(shown.output, Contains("there is no statistic 'none.safetensors'"));
}

TEST_CASE("a statistic is computed, shown and verified", "[cli]") {
  const Workspace work;
  const std::string file = work.file("a");
  const ProcessResult made = work.compute("a");
  check_exit(made, 0);
  CHECK_THAT(made.output, Contains(file));

  const ProcessResult shown = assay_program({"statistics", "show", file});
  check_exit(shown, 0);
  CHECK_THAT(shown.output, Contains("input_gram of") && Contains("on s/a") &&
                               Contains("2 examples") &&
                               Contains("model.layers.0.self_attn.q_proj.weight float32 [8, 8]") &&
                               Contains("also of model.layers.0.self_attn.k_proj.weight"));
  const Json json =
      Json::parse(assay_program({"statistics", "show", file, "--json"}).output, nullptr, false);
  REQUIRE_FALSE(json.is_discarded());
  CHECK(json.at("examples") == 2);
  CHECK(json.at("job").at("statistic") == "input_gram");
  CHECK(json.at("rows").at("model.layers.0.self_attn.q_proj.weight").get<int>() > 0);

  check_exit(assay_program({"statistics", "verify", file}), 0);
  const ProcessResult again = assay_program({"statistics", "verify", file, "--recompute"});
  check_exit(again, 0);
  CHECK_THAT(again.output, Contains("those of a new run"));

  std::string bytes = read_file(file);
  bytes.back() ^= 1;
  write_file(file, bytes);
  const ProcessResult broken = assay_program({"statistics", "verify", file});
  check_exit(broken, kDataError);
  CHECK_THAT(broken.output, Contains(file) && Contains("content hash"));
}

TEST_CASE("a statistic without a name is kept and found again", "[cli]") {
  const Workspace work;
  for (int run = 0; run < 2; ++run) {
    check_exit(work.compute("a", /*named=*/false), 0);
    CHECK(work.kept_files() == 1);
  }
  check_exit(work.merge(work.calibration()), 0);
  CHECK(work.kept_files() == 2);  // that of "b"
}

TEST_CASE("statistics are refused by name before a model is read", "[cli]") {
  const Workspace work;
  const ProcessResult unknown = assay_program(
      {"statistics", "compute", "input_grams", work.path() / "none", "--task", "s/a"});
  check_exit(unknown, kUserError);
  CHECK_THAT(unknown.output, Contains("'input_gram'"));
  const ProcessResult task =
      assay_program({"statistics", "compute", "input_gram", work.path() / "a", "--task", "s/c"});
  check_exit(task, kUserError);
  CHECK_THAT(task.output, Contains("s/c"));
  write_file(work.file("a"), "mine");
  const ProcessResult other = work.compute("a");
  check_exit(other, kUserError);
  CHECK_THAT(other.output, Contains("is not a statistic"));
  CHECK(read_file(work.file("a")) == "mine");
}

TEST_CASE("a merge by statistics files has the bytes of one by data", "[cli]") {
  const Workspace work;
  check_exit(work.merge(work.calibration(), "by_data"), 0);
  check_exit(work.compute("a"), 0);
  check_exit(work.compute("b"), 0);
  const auto files = [&](const std::string& first, const std::string& second) {
    return Json{
        {"statistics", {{"input_gram", {work.file(first).string(), work.file(second).string()}}}}};
  };
  {
    // Neither tasks nor data are there.
    const EnvironmentVariable no_tasks("ASSAY_TASKS_DIR", "");
    for (const std::string name : {"a", "b"}) fs::remove(work.path() / (name + ".jsonl"));
    check_exit(work.merge(files("a", "b"), "by_files"), 0);
  }
  CHECK(work.merged("by_files") == work.merged("by_data"));
  check_exit(work.merge({{"method", "average"}}, "average"), 0);
  CHECK(work.merged("average") != work.merged("by_data"));

  const ProcessResult swapped = work.merge(files("b", "a"));
  check_exit(swapped, kUserError);
  CHECK_THAT(swapped.output, Contains("statistic of other weights") && Contains("expert 'a'"));
}

TEST_CASE("a merge says which statistics it reads, and what they cost", "[cli]") {
  const Workspace work;
  const ProcessResult planned = work.merge(work.calibration(), "merged", "--explain");
  check_exit(planned, 0);
  CHECK_THAT(planned.output, Contains("Statistic input_gram") && Contains("of each of 2 experts") &&
                                 Contains("sums of about"));
  CHECK_FALSE(fs::exists(work.path() / "kept"));
  const ProcessResult done = work.merge(work.calibration());
  check_exit(done, 0);
  CHECK_THAT(done.output, Contains("\"data_statistics\"") && Contains("\"wall_s\""));
  const Json files{{"statistics", {{"input_gram", {"a.safetensors", "b.safetensors"}}}}};
  CHECK_THAT(work.merge(files, "merged", "--explain").output, Contains("read from files"));
}

TEST_CASE("a merge that needs data says where it could come from", "[cli]") {
  const Workspace work;
  const ProcessResult neither = work.merge(Json::object());
  check_exit(neither, kUserError);
  CHECK_THAT(neither.output, Contains("needs calibration data") && Contains("\"calibration\"") &&
                                 Contains("assay statistics compute input_gram"));
  CHECK_FALSE(fs::exists(work.path() / "merged"));
  // These experts do not say what they were trained on.
  const ProcessResult unnamed = work.merge({{"calibration", Json::object()}});
  check_exit(unnamed, kUserError);
  CHECK_THAT(unnamed.output, Contains("name its tasks"));
}
