// Merges whose parameters are tables by layer group.
#include "harness/checkpoint/writer.h"
#include "harness/core/files.h"
#include "harness/merge/expert_lists.h"
#include "harness/merge/explain.h"
#include "harness/merge/request/merge_file.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

const std::vector<std::string> kNames{"embed", "h.0.w", "h.1.w", "h.2.w", "steps"};

/// Every weight is `value`, besides integers, which are copied.
StateDict uniform_model(float value) {
  StateDict tensors;
  for (const std::string& name : kNames) tensors[name] = at::full({2}, value);
  tensors["steps"] = at::arange(2);
  return tensors;
}

const BlockOfTensor kBlocks{{"h.0.w", 0}, {"h.1.w", 1}, {"h.2.w", 2}};

}  // namespace

TEST_CASE("every tensor is merged with the parameters of its layer group", "[merge]") {
  MergeInputs inputs;
  inputs.base = source("base", uniform_model(0));
  inputs.experts = {source("a", uniform_model(1)), source("b", uniform_model(1))};
  inputs.blocks = kBlocks;
  const Json parameters = {{"scale", {{"first", 0.5}, {"last", 0.25}, {"*", 1}}}};
  const auto configuration =
      MethodConfiguration::read("task_arithmetic", JsonReader(parameters, "test"));
  MemorySink sink(at::kCPU);

  merge_models(configuration, inputs, sink);

  const auto value = [&](const std::string& name) {
    return sink.tensors().at(name)[1].item<float>();
  };
  CHECK(value("embed") == 2.0f);  // the sum of both task vectors
  CHECK(value("h.0.w") == 1.0f);
  CHECK(value("h.1.w") == 2.0f);
  CHECK(value("h.2.w") == 0.5f);
  CHECK(at::equal(sink.tensors().at("steps"), at::arange(2)));

  inputs.blocks.clear();
  CHECK_THROWS_WITH(merge_models(configuration, inputs, sink),
                    Contains("test.scale") && Contains("transformer blocks"));
}

TEST_CASE("a merge file may hold tables, and the explanation shows them", "[merge]") {
  const TemporaryFolder folder;
  for (const char* name : {"base", "a"})
    write_checkpoint(folder.path() / name, uniform_model(*name == 'a' ? 1 : 0), {}, false);
  const auto request = [&](const Json& parameters) {
    write_file(folder.path() / "merge.json", Json{{"method", "task_arithmetic"},
                                                  {"parameters", parameters},
                                                  {"base", "base"},
                                                  {"experts", {"a"}}}
                                                 .dump());
    return MergeRequest::read(folder.path() / "merge.json",
                              {.blocks = [](const Checkpoint&) { return kBlocks; }});
  };
  const MergeRequest made = request({{"scale", {{"first", 0.5}, {"embed", 0.25}}}});
  REQUIRE(made.groups.size() == 3);
  CHECK(made.configuration["parameters"]["scale"]["first"] == 0.5);
  const std::string text = explanation_text(explain(made, folder.path()));
  CHECK_THAT(text, Contains("scale 0.5") && Contains("scale 0.25"));

  CHECK_THROWS_WITH(request({{"scale", {{"h.7.*", 0.5}}}}),
                    Contains("merge.json") && Contains("'h.7.*'"));
  CHECK_THROWS_WITH(request({{"scale", {{"first", "x"}}}}), Contains("layer group 'first'"));
}

TEST_CASE("lists in components and tables have a value per expert, too", "[merge]") {
  CHECK_THAT(unfit_lists({{"of", {{"method", "ties"}, {"weights", {1, 2}}}}}, 3).value_or(""),
             Contains("'of'") && Contains("'weights' has 2 entries for 3 experts"));
  CHECK_THAT(unfit_lists({{"weights", {{"first", {1, 2}}, {"*", {1, 2, 3}}}}}, 3).value_or(""),
             Contains("'first' has 2 entries"));
  CHECK_FALSE(unfit_lists({{"words", {"a", "b"}}}, 3));  // texts are not per expert
}
