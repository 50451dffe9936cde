/// End-to-end tests of the program: messages, exit codes and output files.
#include <ATen/ATen.h>
#include <set>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/cli/program.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

/// A base and two experts of two small tensors, and a configuration that merges them.
class SmallMerge {
 public:
  SmallMerge() {
    write("base", {{"b", at::zeros({2})}, {"w", at::zeros({2, 3})}});
    write("x", {{"b", at::full({2}, 1.0)}, {"w", at::full({2, 3}, 3.0)}});
    write("y", {{"b", at::full({2}, 2.0)}, {"w", at::full({2, 3}, 5.0)}});
    config_ = {{"method", "average"}, {"experts", {"x", "y"}}};
  }
  void write(const std::string& name, const StateDict& tensors) const {
    write_checkpoint(path() / name, tensors, {{{"model_type", "none"}}, Json(), "", {}}, true);
  }
  Json& config() { return config_; }
  fs::path path() const { return folder_.path(); }
  fs::path output() const { return path() / "out"; }
  ProcessResult run(std::vector<std::string> more = {}) const {
    write_file(path() / "merge.json", config_.dump());
    std::vector<std::string> arguments{"merge", path() / "merge.json", "-o", output()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return assay_program(arguments);
  }
  /// Checks that the run fails with this exit code and these messages, and writes nothing.
  void check_refused(int exit_code, const std::vector<std::string>& said) const {
    const ProcessResult result = run();
    CHECK(result.exit_code == exit_code);
    for (const std::string& text : said) CHECK_THAT(result.output, Catch::Contains(text));
    CHECK_FALSE(fs::exists(output()));
  }

 private:
  TemporaryFolder folder_;
  Json config_;
};

}  // namespace

TEST_CASE("a merged folder records how it was made", "[cli]") {
  SmallMerge merge;
  merge.config()["dtype"] = "bfloat16";

  const ProcessResult result = merge.run();

  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  const auto merged = Checkpoint::open(merge.output());
  CHECK(merged->read("w").scalar_type() == at::kBFloat16);
  CHECK(merged->read("w").to(at::kFloat).equal(at::full({2, 3}, 4.0)));
  CHECK(merged->read("b").to(at::kFloat).equal(at::full({2}, 1.5)));
  CHECK(merged->config()["model_type"] == "none");
  const std::string hash = Checkpoint::open(merge.path() / "x")->content_hash();
  CHECK_THAT(read_file(merge.output() / "README.md"),
             Catch::Contains(hash) && Catch::Contains("average"));
  CHECK(merged->origin()["merge"]["inputs"]["experts"][0]["hash"] == hash);
}

TEST_CASE("an existing folder is replaced only with --replace", "[cli]") {
  const SmallMerge merge;
  REQUIRE(merge.run().exit_code == 0);

  const ProcessResult again = merge.run();

  CHECK(again.exit_code == kUserError);
  CHECK_THAT(again.output, Catch::Contains("exists already"));
  CHECK(merge.run({"--replace"}).exit_code == 0);
}

TEST_CASE("damaged or mismatched checkpoints are refused with model and tensor named", "[cli]") {
  SmallMerge merge;

  SECTION("a missing tensor") {
    merge.write("y", {{"b", at::zeros({2})}});
    merge.check_refused(kDataError, {"/y", "'w'"});
  }
  SECTION("a tensor too many") {
    merge.write("y", {{"b", at::zeros({2})}, {"v", at::zeros({1})}, {"w", at::zeros({2, 3})}});
    merge.check_refused(kDataError, {"/y", "'v'"});
  }
  SECTION("another shape") {
    merge.write("y", {{"b", at::zeros({2})}, {"w", at::zeros({3, 2})}});
    merge.check_refused(kDataError, {"/y", "'w'", "[3, 2]", "[2, 3]"});
  }
  SECTION("NaN weights") {
    at::Tensor bad = at::zeros({2, 3});
    bad[1][2] = std::numeric_limits<float>::quiet_NaN();
    merge.write("y", {{"b", at::zeros({2})}, {"w", bad}});
    merge.check_refused(kDataError, {"/y", "'w'"});
  }
  SECTION("a truncated file") {
    const fs::path weights = merge.path() / "y" / "model.safetensors";
    fs::resize_file(weights, fs::file_size(weights) - 1);
    merge.check_refused(kDataError, {"model.safetensors", "truncated"});
  }
  SECTION("a folder without weights") {
    fs::remove(merge.path() / "y" / "model.safetensors");
    merge.check_refused(kDataError, {"/y", "model.safetensors"});
  }
}

TEST_CASE("wrong configurations are refused before a tensor is read", "[cli]") {
  SmallMerge merge;

  SECTION("an unknown key") {
    merge.config()["expert"] = "x";
    merge.check_refused(kUserError, {"'expert'", "Did you mean 'experts'?"});
  }
  SECTION("an unknown method") {
    merge.config()["method"] = "averge";
    merge.check_refused(kUserError, {"'averge'", "Did you mean 'average'?"});
  }
  SECTION("an unknown parameter") {
    merge.config()["method"] = "slerp";
    merge.config()["parameters"] = {{"tt", 0.1}};
    merge.check_refused(kUserError, {"'tt'", "Did you mean 't'?"});
  }
  SECTION("a parameter out of range") {
    merge.config()["method"] = "slerp";
    merge.config()["parameters"] = {{"t", 1.5}};
    merge.check_refused(kUserError, {"'t'", "[0, 1]", "1.5"});
  }
  SECTION("a parameter of the wrong type") {
    merge.config()["method"] = "slerp";
    merge.config()["parameters"] = {{"t", "half"}};
    merge.check_refused(kUserError, {".t", "number", "half"});
  }
  SECTION("weights that cannot be normalized") {
    merge.config()["method"] = GENERATE("linear", "linear@mergekit");
    merge.config()["parameters"] = {{"weights", {1, -1}}};
    merge.check_refused(kUserError, {"merge.json.parameters: ", "'weights' sums to 0",
                                     "expected another sum, or 'normalize' false", "[1,-1]"});
  }
  SECTION("weights that are all 0") {
    merge.config()["method"] = GENERATE("multi_slerp", "karcher");
    merge.config()["parameters"] = {{"weights", {0, 0}}};
    merge.check_refused(kUserError, {".parameters: ", "'weights' sums to 0", "a sum above 0"});
  }
  SECTION("a need that is not met") {
    merge.config()["method"] = "task_arithmetic";
    merge.check_refused(kUserError, {"base"});
  }
  SECTION("a dtype without fractions") {
    merge.config()["dtype"] = "int32";
    merge.check_refused(kUserError, {"dtype", "floating"});
  }
  SECTION("an unknown dtype") {
    merge.config()["dtype"] = "float31";
    merge.check_refused(kUserError, {"'float31'", "'float32'"});
  }
  SECTION("a checkpoint that is not there") {
    merge.config()["experts"] = {"x", "z"};
    merge.check_refused(kUserError, {"'z'"});
  }
}

TEST_CASE("wrong options and files have their exit codes", "[cli]") {
  const TemporaryFolder folder;
  const auto refused = [](const std::vector<std::string>& arguments, int exit_code,
                          const std::string& said) {
    const ProcessResult result = assay_program(arguments);
    INFO(result.output);
    CHECK(result.exit_code == exit_code);
    CHECK_THAT(result.output, Catch::Contains(said));
  };

  refused({"run", "none.json"}, kUserError, "none.json");
  refused({"run", "--device", "cuda:99", "sweeps/quickstart.json"}, kUserError, "cuda:99");
  refused({"run", "--device", "gpu", "sweeps/quickstart.json"}, kUserError, "'gpu'");
  refused({"run", "--only", "tise", "sweeps/quickstart.json"}, kUserError, "'ties'");
  refused({"report", folder.path() / "none.sqlite"}, kDataError, "none.sqlite");
  refused({"eval", folder.path(), "--tasks", "digits/*"}, kDataError, "model.safetensors");
  refused({"show", "method", "tise"}, kUserError, "'ties'");
  refused({"data", "fetch", "mnist"}, kUserError, "'mnist5k'");
  refused({"runn"}, kUserError, "Did you mean 'run'?");
  write_file(folder.path() / "bad.json", "{");
  refused({"run", folder.path() / "bad.json"}, kUserError, "not valid JSON");
  write_file(folder.path() / "text.sqlite", "this is no database, but a text of some length");
  refused({"report", folder.path() / "text.sqlite"}, kDataError, "text.sqlite");
}

TEST_CASE("every registry can be listed, and every method shown", "[cli]") {
  for (const char* kind : {"methods", "routers", "tasks", "datasets", "architectures"}) {
    const ProcessResult result = assay_program({"list", "--json", kind});
    INFO(kind << ": " << result.output);
    REQUIRE(result.exit_code == 0);
    CHECK_FALSE(Json::parse(result.output).empty());
  }
  for (const Json& method : Json::parse(assay_program({"list", "--json", "methods"}).output)) {
    if (method["name"].get<std::string>().find('@') != std::string::npos) continue;  // one page
    const ProcessResult shown = assay_program({"show", "method", method["name"]});
    CHECK(shown.exit_code == 0);
    CHECK_THAT(shown.output, Catch::Contains("needs:"));
  }
  for (const Json& router : Json::parse(assay_program({"list", "--json", "routers"}).output)) {
    const ProcessResult shown = assay_program({"show", "router", router["name"]});
    CHECK(shown.exit_code == 0);
    CHECK_THAT(shown.output, Catch::Contains("needs:"));
  }
  // The parameters of a method's components follow it.
  CHECK_THAT(
      assay_program({"show", "method", "moe"}).output,
      Catch::Contains("router (router, default \"random\")") && Catch::Contains("deviation"));
}

TEST_CASE("methods are listed by what they need", "[cli]") {
  const auto listed = [](const std::vector<std::string>& conditions) {
    std::vector<std::string> arguments{"list", "--json", "methods"};
    for (const std::string& condition : conditions) {
      arguments.emplace_back("--needs");
      arguments.push_back(condition);
    }
    std::set<std::string> names;
    for (const Json& method : Json::parse(assay_program(arguments).output))
      names.insert(method["name"]);
    return names;
  };
  const std::set<std::string> plain = listed({"data=none", "base=no"});
  CHECK(plain.count("average") == 1);
  CHECK(plain.count("ties") == 0);
  CHECK(plain.count("regmean") == 0);
  const std::set<std::string> data = listed({"data=inputs", "experts=3"});
  CHECK(data.count("regmean") == 1);
  CHECK(data.count("atlas") + data.count("average") + data.count("sens_merging") == 0);
  CHECK(listed({"output=task"}).count("emr") == 1);

  const auto refused = [](const std::string& condition, const std::string& text) {
    const ProcessResult result = assay_program({"list", "methods", "--needs", condition});
    CHECK(result.exit_code == kUserError);
    CHECK_THAT(result.output, Catch::Contains(text));
  };
  refused("date=none", "Did you mean 'data'?");
  refused("data=non", "Did you mean 'none'?");
  refused("base", "KEY=VALUE");
  refused("experts=0", "at least 1");
}

TEST_CASE("the page of methods is what the registry says", "[cli]") {
  const std::string page = fs::path(ASSAY_TESTS_FOLDER).parent_path() / "docs" / "methods.md";
  const ProcessResult result = assay_program({"list", "methods", "--markdown"});
  REQUIRE(result.exit_code == 0);
  INFO("assay list methods --markdown > docs/methods.md");
  CHECK((result.output == read_file(page)));  // the texts are long
}

TEST_CASE("generate continues token ids, and refuses invalid ones", "[cli]") {
  const std::string golden = std::string(ASSAY_TESTS_FOLDER) + "/golden/models/";
  const auto generate = [&](const std::string& model, std::vector<std::string> more) {
    std::vector<std::string> arguments{"generate", golden + model, "--device", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return assay_program(arguments);
  };
  const auto expected = [&](const std::string& folder) {
    return Json::parse(read_file(golden + folder + "/expected.json")).at("greedy")[0].dump();
  };
  const std::vector<std::string> ids{"--json", "--tokens", "12", "--ids", "3,1,4,1,5,9"};
  std::vector<std::string> adapted = ids;
  adapted.insert(adapted.end(), {"--adapter", golden + "llama-lora"});

  CHECK_THAT(generate("llama", ids).output, Catch::Contains(expected("llama")));
  CHECK_THAT(generate("llama", adapted).output, Catch::Contains(expected("llama-lora")));
  const ProcessResult outside = generate("llama", {"--ids", "32"});
  CHECK(outside.exit_code == kUserError);
  CHECK_THAT(outside.output, Catch::Contains("token id 32 is outside the model's [0, 32)"));
  CHECK_THAT(generate("llama", {"--ids", "1,x"}).output, Catch::Contains("found '1,x'"));
  CHECK_THAT(generate("llama", {}).output, Catch::Contains("--prompt"));
  CHECK_THAT(generate("bert", {"--ids", "1"}).output, Catch::Contains("bert generates no text"));
  CHECK(generate("none", {"--ids", "1"}).exit_code == kUserError);
}

TEST_CASE("an encoder reads texts and token ids", "[cli]") {
  const std::string golden = std::string(ASSAY_TESTS_FOLDER) + "/golden/models/";
  const auto encode = [&](const std::string& model, std::vector<std::string> more) {
    std::vector<std::string> arguments{"-q", "encode", golden + model, "--device", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return assay_program(arguments);
  };
  const auto values = [](const ProcessResult& result, const std::string& key) {
    INFO(result.output);
    REQUIRE(result.exit_code == 0);
    return Json::parse(result.output).at(key).get<std::vector<float>>();
  };
  const Json expected = read_json(fs::path(golden) / "bert/expected.json");
  const auto wanted = expected.at("pair_classes").get<std::vector<float>>();

  // The model has no tokenizer files: every byte is a token.
  const auto scores =
      values(encode("bert", {"--ids", "2,7,9,4,3,11", "--types", "0,0,0,1,1,1"}), "classes");
  REQUIRE(scores.size() == wanted.size());
  for (size_t i = 0; i < scores.size(); ++i) CHECK(scores[i] == Approx(wanted[i]).margin(1e-4));
  CHECK(values(encode("bert", {"--text", "\x05\x06"}), "embedding") ==
        values(encode("bert", {"--ids", "5,6"}), "embedding"));
  CHECK_FALSE(Json::parse(encode("bert-bare", {"--ids", "5"}).output).contains("classes"));

  CHECK_THAT(encode("llama", {"--ids", "1"}).output, Catch::Contains("llama is not an encoder"));
  CHECK_THAT(encode("bert", {}).output, Catch::Contains("--text"));
  CHECK_THAT(encode("bert", {"--ids", "5,6", "--types", "0"}).output,
             Catch::Contains("1 types for 2 ids"));
  CHECK_THAT(encode("bert", {"--text", "a", "--pair", "b", "--pair", "c"}).output,
             Catch::Contains("2 --pair for 1 --text"));
}
