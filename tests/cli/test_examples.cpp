/// Runs every example of the help texts and of README.md, in a folder with small files of the names
/// that the examples use.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <regex>
#include <set>
#include <sstream>

#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/core/process.h"
#include "harness/model/architecture.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/cli/data_examples.h"
#include "tests/cli/program.h"
#include "tests/core/temporary_folder.h"
#include "tests/lm/encoder_models.h"

using namespace assay;
using test::DataExamples;
using test::quoted;

namespace {

const fs::path kTests = ASSAY_TESTS_FOLDER;
constexpr int kVocabulary = 20'000;  // the examples use ids up to 19556

/// The files that the examples use: models, merge configurations, a sweep, tasks, a recipe.
class ExampleFolder {
 public:
  ExampleFolder() {
    fs::create_directories(path("bin"));
    fs::create_symlink(ASSAY_PROGRAM, path("bin/assay"));
    fs::create_directory_symlink(kTests.parent_path() / "templates", path("templates"));
    int seed = 0;
    for (const char* name : {"base", "a", "b", "model", "models/SmolLM2-135M", "models/smollm2",
                             "out/models/digits/base-weak"})
      language_model(name, ++seed);
    for (const char* name : {"models/all-MiniLM-L6-v2", "encoder"}) encoder(name);
    write_adapter();
    fs::create_directories(path("lm_eval/tasks"));
    fs::copy(kTests / "golden/lm_eval", path("lm_eval/tasks/sciq"), fs::copy_options::recursive);
    write_json("merge.json", {{"method", "ties"}, {"base", "base/"}, {"experts", {"a/", "b/"}}});
    for (const char* name : {"ties.yaml", "mergekit.yaml"})
      write_file(path(name),
                 "merge_method: ties\nbase_model: base\nmodels:\n  - model: "
                 "a\n    parameters: {weight: 1, density: 0.5}\n  - model: b\n "
                 "   parameters: {weight: 1, density: 0.5}\ndtype: float32\n");
    for (const char* suite : {"knowledge", "math", "digits"}) questions(suite);
    for (const char* sweep : {"mine.json", "sweeps/quickstart.json"})
      write_json(sweep,
                 {{"name", fs::path(sweep).stem().string()},
                  {"base", path("base").string()},
                  {"expert_sets",
                   {{{"name", "both"}, {"experts", {path("a").string(), path("b").string()}}}}},
                  {"tasks", {"math/*"}},
                  {"trained_on", {{path("a").string(), {"math/gsm8k"}}}},
                  {"methods", {"average"}}});
  }

  fs::path path(const std::string& name) const { return folder_.path() / name; }

  /// Runs a shell command.
  ProcessResult run(const std::string& line) const {
    return run_process({"/bin/sh", "-c",
                        fmt::format("cd {0} && PATH={1}:$PATH && export ASSAY_HOME={0} && {2}",
                                    quoted(folder_.path()), quoted(path("bin")), line)});
  }

 private:
  void write_json(const std::string& name, const Json& value) const {
    write_file(path(name), value.dump());
  }

  void language_model(const std::string& name, uint64_t seed) const {
    Json config = Json::parse(architectures().at("llama", "a test").example);
    config["model_type"] = "llama";
    config["vocab_size"] = kVocabulary;
    const auto architecture = make_architecture(JsonReader(config, "$"));
    write_checkpoint(path(name), architecture->initial_weights(seed), {config, {}, {}, {}}, false);
    Json vocabulary = Json::object();
    for (int id = 0; id < kVocabulary; ++id) vocabulary[fmt::format("t{}", id)] = id;
    write_json(name + "/tokenizer.json",
               {{"added_tokens",
                 {{{"id", 0},
                   {"content", "t0"},
                   {"special", true},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", false},
                   {"normalized", false}}}},
                {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "t1"}}},
                {"pre_tokenizer", {{"type", "WhitespaceSplit"}}}});
    write_json(name + "/tokenizer_config.json",
               {{"tokenizer_class", "PreTrainedTokenizerFast"},
                {"eos_token", "t0"},
                {"chat_template", "{% for m in messages %}{{ m.content }} {% endfor %}"}});
  }

  void encoder(const std::string& name) const {
    fs::create_directories(path(name));
    for (const auto& file : fs::directory_iterator(kTests / "golden/models/bert"))
      if (file.is_regular_file()) fs::copy_file(file, path(name) / file.path().filename());
    write_file(path(name) / "tokenizer.json", word_tokenizer());
  }

  void write_adapter() const {
    const auto model = Checkpoint::open(path("model"));
    const std::string target = "model.layers.0.self_attn.q_proj";
    const std::vector<int64_t> shape = model->find(target + ".weight")->shape;
    const std::string prefix = "base_model.model." + target;
    fs::create_directories(path("lora"));
    write_json(
        "lora/adapter_config.json",
        {{"peft_type", "LORA"}, {"r", 1}, {"lora_alpha", 1}, {"target_modules", {"q_proj"}}});
    write_safetensors(path("lora/adapter_model.safetensors"),
                      {{prefix + ".lora_A.weight", at::ones({1, shape[1]})},
                       {prefix + ".lora_B.weight", at::ones({shape[0], 1})}});
  }

  void questions(const std::string& suite) const {
    const fs::path data = path("data/" + suite + ".jsonl");
    write_file(data,
               "{\"q\": \"t5 t6\", \"c\": [\"t7\", \"t8 t9\"], \"label\": 0}\n"
               "{\"q\": \"t6 t5\", \"c\": [\"t9\", \"t8\"], \"label\": 1}\n"
               "{\"q\": \"t9\", \"c\": [\"t5\", \"t6\"], \"label\": 1}\n");
    write_json(
        "tasks/" + suite + ".json",
        {{"summary", suite},
         {"kind", "multiple_choice"},
         {"tasks",
          {{{"name", suite == "math" ? "gsm8k" : "questions"},
            {"dataset", {{"files", {{"test", data.string()}, {"validation", data.string()}}}}},
            {"prompt", "{{q}}"},
            {"choices", "{{c}}"}}}}});
  }

  TemporaryFolder folder_;
};

/// The calls of `program` in `text`, without their descriptions.
std::vector<std::string> calls_in(const std::string& text, const std::string& program) {
  const std::regex call("(echo '[^']*' \\| )?" + program + " [a-z].*");
  std::vector<std::string> calls;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (!std::regex_search(line, found, call) || line.find("[OPTIONS]") != std::string::npos)
      continue;
    std::string command = found.str();
    command = std::regex_replace(command, std::regex("  +[#a-z].*$"), "");  // the description
    calls.push_back(std::regex_replace(command, std::regex("build/assay"), "assay"));
  }
  return calls;
}

std::vector<std::string> help_examples(const ExampleFolder& folder) {
  const auto help = [&](const std::string& command) {
    const ProcessResult result = folder.run("assay " + command + " --help");
    REQUIRE(result.exit_code == 0);
    return result.output;
  };
  std::string text = help("");
  std::istringstream lines(text.substr(text.find("Subcommands:")));
  std::string name;
  std::getline(lines, name);
  while (std::getline(lines, name) && name.rfind("  ", 0) == 0)
    if (name.size() > 2 && name[2] != ' ') text += help(name.substr(2, name.find(' ', 2) - 2));
  return calls_in(text.substr(text.find("Example")), "assay");
}

std::vector<std::string> readme_examples() {
  const std::string text = read_file(kTests.parent_path() / "README.md");
  return calls_in(text, "build/assay");
}

/// Replaces two GPUs in an example by the CPU.
std::string small_form(const std::string& example) {
  return std::regex_replace(example, std::regex("cuda:0,cuda:1"), "cpu");
}

/// Each once, in their order: some use what others left behind.
std::vector<std::string> all_examples(const ExampleFolder& folder) {
  const std::vector<std::string> of_help = help_examples(folder), of_readme = readme_examples();
  CHECK(of_help.size() >= 12);
  CHECK(of_readme.size() >= 12);
  std::vector<std::string> examples;
  std::set<std::string> seen;
  for (const auto& some : {of_help, of_readme})
    for (const std::string& example : some)
      if (seen.insert(example).second) examples.push_back(example);
  return examples;
}

}  // namespace

TEST_CASE("every example of fetching data and of training runs", "[cli][optional][train]") {
  const DataExamples with_data;
  int found = 0;
  for (const std::string& example : all_examples(ExampleFolder())) {
    if (!DataExamples::take(example)) continue;
    with_data.check(example);
    ++found;
  }
  CHECK(found >= 2);
}

TEST_CASE("every other example of the help texts and of the README runs", "[cli]") {
  const ExampleFolder folder;
  for (const std::string& example : all_examples(folder)) {
    if (DataExamples::take(example)) continue;
    // Every example merges into a new folder.
    fs::remove_all(folder.path("merged"));
    const ProcessResult result = folder.run(small_form(example));
    INFO(example << "\n" << result.output);
    CHECK(result.exit_code == 0);
  }
}

TEST_CASE("a log of samples contains the metrics that are means of items", "[cli]") {
  const ExampleFolder folder;
  const Json task = {{"name", "next"},
                     {"dataset", {{"files", {{"test", folder.path("data/math.jsonl").string()}}}}},
                     {"prompt", "{{q}}"},
                     {"target", "t7"},
                     {"metrics", {"acc", "perplexity"}}};
  write_file(folder.path("tasks/words.json"),
             Json{{"summary", "s"}, {"kind", "log_likelihood"}, {"tasks", {task}}}.dump());
  const ProcessResult result =
      folder.run("assay eval model --tasks words/next --device cpu --log-samples log.jsonl");
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Contains("perplexity"));
  std::istringstream lines(read_file(folder.path("log.jsonl")));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const Json metrics = Json::parse(line).at("metrics");
    CHECK(metrics.size() == 1);
    CHECK(metrics.contains("acc"));
  }
  CHECK(count == 3);
}

TEST_CASE("a misspelled command or option is refused with the nearest name", "[cli]") {
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& nearest) {
    const ProcessResult result = assay_program(arguments);
    INFO(result.output);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.output, Catch::Contains("'" + nearest + "'?"));
  };
  refused({"mrege", "c.json"}, "merge");
  refused({"lst", "methods"}, "list");
  refused({"list", "method"}, "methods");
  refused({"-q", "list", "methdos"}, "methods");
  refused({"merge", "c.json", "--explian"}, "--explain");
  refused({"merge", "--memroy=1GiB", "c.json"}, "--memory");
  refused({"run", "s.json", "--wokers", "2"}, "--workers");
  refused({"help", "mrege"}, "merge");
  CHECK(assay_program({"list", "methods", "more"}).exit_code == 2);
  CHECK(assay_program({"--no-such-option"}).exit_code == 2);
}

TEST_CASE("help and version are commands, too", "[cli]") {
  const auto said = [](const std::vector<std::string>& arguments) {
    const ProcessResult result = assay_program(arguments);
    CHECK(result.exit_code == 0);
    return result.output;
  };
  CHECK(said({"help"}) == said({"--help"}));
  CHECK_THAT(said({"help", "merge"}), Catch::Contains("--explain"));
  CHECK_THAT(said({"help", "show", "method"}), Catch::Contains("NAME"));
  CHECK(said({"version"}) == said({"--version"}));
}
