/// Output paths that are links, pipes, unrelated files or invalid names.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/safetensors.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/cli/program.h"
#include "tests/core/temporary_folder.h"
#include "tests/reports/fake_results.h"
#include "tests/results/store_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// Two models of one number, 1 and 3, and a configuration that averages them.
class Average {
 public:
  explicit Average(const std::string& subfolder = "") : path_(folder_.path() / subfolder) {
    for (const auto& [name, value] : {std::pair{"a", 1.0}, {"b", 3.0}})
      write_checkpoint(path() / name, {{"w", at::full({1}, value)}},
                       {{{"model_type", "none"}}, Json(), "", {}}, false);
    write_file(path() / "merge.json", R"({"method": "average", "experts": ["a", "b"]})");
  }
  const fs::path& path() const { return path_; }
  ProcessResult run(const fs::path& output, bool replace = false) const {
    std::vector<std::string> words{"merge", path() / "merge.json", "-o", output};
    if (replace) words.emplace_back("--replace");
    return assay_program(words);
  }
  static float value_in(const fs::path& folder) {
    return Checkpoint::open(folder)->read("w").item<float>();
  }

 private:
  TemporaryFolder folder_;
  fs::path path_;
};

/// A store with a finished sweep.
class Finished {
 public:
  Finished() { fill_store(path() / "r.sqlite", fake::results()); }
  fs::path path() const { return folder_.path(); }
  ProcessResult report(const std::string& output, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{"report", path() / "r.sqlite", "-o", output};
    words.insert(words.end(), more.begin(), more.end());
    return assay_program(words);
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("a merge is refused an output that is a model, its configuration's folder or unnamed",
          "[cli]") {
  const Average merge;
  for (const fs::path& output : {merge.path() / "a", merge.path() / "a" / "", merge.path()}) {
    const ProcessResult result = merge.run(output, true);
    CHECK(result.exit_code == kUserError);
    CHECK_THAT(result.output, Contains("is not replaced"));
  }
  CHECK(Average::value_in(merge.path() / "a") == 1);
  const ProcessResult unnamed = merge.run("");
  CHECK(unnamed.exit_code == kUserError);
  CHECK_THAT(unnamed.output, Contains("empty"));
}

TEST_CASE("paths with links are resolved as by the kernel", "[cli]") {
  const Average merge;
  fs::create_directories(merge.path() / "elsewhere" / "dir");
  fs::create_directories(merge.path() / "deep");
  fs::create_directory_symlink("../elsewhere/dir", merge.path() / "deep" / "link");
  write_checkpoint(merge.path() / "elsewhere" / "m", {{"w", at::full({1}, 5.0)}}, {}, false);
  write_checkpoint(merge.path() / "deep" / "m", {{"w", at::full({1}, 50.0)}}, {}, false);
  write_file(merge.path() / "deep" / "out" / "thesis.tex", "years of work");
  write_file(merge.path() / "merge.json",
             R"({"method": "average", "experts": ["a", "deep/link/../m"]})");

  const ProcessResult result = merge.run(merge.path() / "deep" / "link" / ".." / "out");

  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK(Average::value_in(merge.path() / "elsewhere" / "out") == 3);  // of 1 and 5
  CHECK(fs::exists(merge.path() / "deep" / "out" / "thesis.tex"));
}

TEST_CASE("a model in a folder whose name is not UTF-8 is merged", "[cli]") {
  const Average merge("mod\xe8les");
  const ProcessResult result = merge.run(merge.path() / "out");
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  const Json origin = Checkpoint::open(merge.path() / "out")->origin();
  CHECK_THAT(origin["merge"]["inputs"]["experts"][0]["path"].get<std::string>(),
             Contains("mod\\xe8les/a"));
}

TEST_CASE("lists of values per expert must have one for each", "[cli]") {
  const Average merge;
  write_file(
      merge.path() / "merge.json",
      R"({"method": "linear", "experts": ["a", "b"], "parameters": {"weights": [1, 2, 3]}})");
  const ProcessResult result = merge.run(merge.path() / "out");
  CHECK(result.exit_code == kUserError);
  CHECK_THAT(result.output, Contains("'weights' has 3 entries for 2 experts"));
}

TEST_CASE("a report replaces a report and nothing else", "[cli]") {
  const Finished sweep;
  for (const char* name : {"r.html", "r.md", "r.csv", "r.json"}) {
    CAPTURE(name);
    const fs::path output = sweep.path() / name;
    write_file(output, "years of work\n");
    const ProcessResult refused = sweep.report(output);
    CHECK(refused.exit_code == kUserError);
    CHECK_THAT(refused.output, Contains(name) && Contains("not a report of Assay"));
    CHECK(read_file(output) == "years of work\n");
    write_file(output, "");
    CHECK(sweep.report(output).exit_code == 0);
    CHECK(sweep.report(output).exit_code == 0);
  }
  CHECK(sweep.report(sweep.path(), {"--format", "md"}).exit_code == kUserError);
  CHECK(sweep.report("", {"--format", "md"}).exit_code == kUserError);
}

TEST_CASE("logits replace a file of logits and nothing else", "[cli]") {
  const TemporaryFolder folder;
  const std::string model = std::string(ASSAY_TESTS_FOLDER) + "/golden/models/llama";
  const fs::path output = folder.path() / "logits.safetensors";
  const auto generate = [&](const std::string& ids) {
    return assay_program(
        {"generate", model, "--device", "cpu", "--tokens", "1", "--ids", ids, "--logits", output});
  };
  const auto rows = [&] { return SafetensorsFile::open(output)->tensors().at(0).shape.front(); };

  CHECK(generate("3,1").exit_code == 0);
  CHECK(rows() == 2);
  CHECK(generate("3,1,4").exit_code == 0);
  CHECK(rows() == 3);
  write_file(output, "");
  CHECK(generate("3,1").exit_code == 0);

  const auto check_kept = [&] {
    const std::string before = read_file(output);
    const ProcessResult refused = generate("3,1");
    CHECK(refused.exit_code == kUserError);
    CHECK_THAT(refused.output, Contains(output.string()) && Contains("not a file of logits"));
    CHECK(read_file(output) == before);
  };
  write_file(output, "years of work\n");
  check_kept();
  write_safetensors(output, {{"model.embed_tokens.weight", at::zeros({2, 2})}});
  check_kept();
  write_safetensors(output, {{"logits.0", at::zeros({2, 2})}, {"logits.bias", at::zeros({2})}});
  check_kept();
}

TEST_CASE("a report is written to the target of a link, which stays", "[cli]") {
  const Finished sweep;
  fs::create_symlink("real.md", sweep.path() / "link.md");
  CHECK(sweep.report(sweep.path() / "link.md").exit_code == kUserError);  // a dangling link

  write_file(sweep.path() / "real.md", "");
  CHECK(sweep.report(sweep.path() / "link.md").exit_code == 0);
  CHECK(fs::is_symlink(sweep.path() / "link.md"));
  CHECK_THAT(read_file(sweep.path() / "real.md"), Contains("## Provenance"));
}

TEST_CASE("a report is written into pipes and standard output", "[cli]") {
  const Finished sweep;
  const fs::path pipe = sweep.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  ChildProcess reader(
      {"/bin/sh", "-c",
       "cat '" + pipe.string() + "' > '" + (sweep.path() / "copy.csv").string() + "'"});

  CHECK(sweep.report(pipe, {"--format", "csv"}).exit_code == 0);
  CHECK(reader.wait() == 0);
  CHECK(fs::is_fifo(pipe));
  CHECK_THAT(read_file(sweep.path() / "copy.csv"), Contains("row,variant,kind"));
  CHECK_THAT(sweep.report("/dev/stdout", {"--format", "csv"}).output, Contains("row,variant,kind"));
  CHECK(sweep.report("/dev/full", {"--format", "csv"}).exit_code == 3);

  const std::string command =
      fmt::format("'{}' report '{}' -o /dev/stdout --format csv >> '{}'", ASSAY_PROGRAM,
                  (sweep.path() / "r.sqlite").string(), (sweep.path() / "log.txt").string());
  write_file(sweep.path() / "log.txt", "before\n");
  CHECK(run_process({"/bin/sh", "-c", command}).exit_code == 0);
  CHECK_THAT(read_file(sweep.path() / "log.txt"),
             StartsWith("before\n") && Contains("row,variant,kind"));
}

TEST_CASE("a log of samples that cannot be written is refused before a model is looked for",
          "[cli]") {
  const TemporaryFolder folder;
  write_file(folder.path() / "data.jsonl", R"({"q": "a", "t": "b"})");
  const Json task = {{"name", "one"},
                     {"dataset", {{"files", {{"test", (folder.path() / "data.jsonl").string()}}}}},
                     {"prompt", "{{q}}"},
                     {"target", "{{t}}"}};
  write_file(folder.path() / "tasks/own.json",
             Json{{"summary", "s"}, {"kind", "log_likelihood"}, {"tasks", {task}}}.dump());
  fs::create_symlink("nowhere", folder.path() / "link");
  write_file(folder.path() / "there", "years of work");
  const auto refused = [&](const std::string& tasks, const std::string& log,
                           const std::string& said) {
    const ProcessResult result =
        assay_program({"eval", folder.path() / "no-model", "--tasks", tasks, "--tasks-dir",
                       folder.path() / "tasks", "--log-samples", folder.path() / log});
    CHECK(result.exit_code == kUserError);
    CHECK_THAT(result.output, Contains(said) && !Contains("no-model"));
  };
  refused("own/one", "link", "is a link to 'nowhere', which does not exist");
  refused("own/one", "there", "exists already");
  refused("own/one", "no/log.jsonl", "there is no folder");
  refused("digits/mnist-012", "log.jsonl", "is not about text");
  CHECK(read_file(folder.path() / "there") == "years of work");
}
