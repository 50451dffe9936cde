#include "harness/core/error.h"
#include "harness/core/yaml.h"
#include "harness/merge/mergekit/yaml.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// The message of the UserError that the text gives.
std::string yaml_error(const std::string& text) {
  try {
    parse_mergekit_yaml(text, "m.yaml");
  } catch (const UserError& e) {
    return e.what();
  }
  return "no UserError";
}

/// A linear merge with more lines at its end.
std::string linear(const std::string& more) {
  return "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n" + more;
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("a gradient is spread evenly over the layers", "[mergekit]") {
  const MergekitValue value{"", {0, .5, 1}};
  for (int layer = 0; layer < 5; ++layer) CHECK(value.at(layer / 4.0) == layer * 0.25);

  CHECK(MergekitValue{"", {3}}.at(0.7) == 3);
  CHECK(MergekitValue{"", {1, 0}}.at(1) == 0);
}

TEST_CASE("the first entry whose filter is part of the name counts", "[mergekit]") {
  const MergekitSetting setting{1, {{"mlp.up", {1}}, {"mlp", {2}}, {"", {3}}, {"norm", {4}}}};

  CHECK(setting.find("model.layers.0.mlp.up_proj.weight", 0) == 1);
  CHECK(setting.find("model.layers.0.mlp.down_proj.weight", 0) == 2);
  CHECK(setting.find("model.norm.weight", 0) == 3);
  CHECK(MergekitSetting{1, {{"mlp", {2}}}}.find("model.norm.weight", 0) == std::nullopt);
}

TEST_CASE("a whole configuration is read", "[mergekit]") {
  const MergekitConfig config = parse_mergekit_yaml(R"(# a comment
merge_method: ties
base_model: ./base
models:
  - model: ./base
  - model: "models/a"
    parameters: {weight: 1e-1, density: [0.4, .1]}
  - model: b
    parameters:
      weight:
        - {filter: mlp, value: +0.5}
        - {filter: "*", value: [1, 0]}
parameters: {normalize: yes, lambda: 2., int8_mask: true}
dtype: torch.bfloat16
out_dtype: float32
tokenizer:
)",
                                                    "m.yaml");

  CHECK(config.method == "ties");
  REQUIRE(config.base_model);
  CHECK(config.base_model->model == "./base");
  REQUIRE(config.models.size() == 3);
  CHECK(config.models[0].parameters.empty());
  CHECK(config.models[1].model == "models/a");
  CHECK(config.models[1].line == 6);
  CHECK(config.models[1].parameters.at("weight").values[0].points == std::vector{0.1});
  CHECK(config.models[1].parameters.at("density").values[0].points == std::vector{0.4, 0.1});
  const MergekitSetting& weight = config.models[2].parameters.at("weight");
  CHECK(weight.line == 10);
  REQUIRE(weight.values.size() == 2);
  CHECK(weight.values[0].filter == "mlp");
  CHECK(weight.values[1].filter.empty());
  CHECK(config.parameters.at("normalize").find("x", 0) == 1);
  CHECK(config.parameters.at("lambda").find("x", 0) == 2);
  CHECK(config.dtype == "bfloat16");
  CHECK(config.out_dtype == "float32");
}

TEST_CASE("what stands in JSON is read too, and aliases are what they stand for", "[mergekit]") {
  CHECK(parse_mergekit_yaml(R"({"merge_method": "slerp", "base_model": "a",
    "models": [{"model": "b"}], "parameters": {"t": {"value": 0.5}}})",
                            "m.json")
            .parameters.at("t")
            .find("x", 0) == 0.5);

  const MergekitConfig config = parse_mergekit_yaml(
      "merge_method: linear\nmodels:\n- {model: a, parameters: &same {weight: 2}}\n"
      "- {model: b, parameters: *same}\n",
      "m.yaml");
  CHECK(config.models[1].parameters.at("weight").find("x", 0) == 2);
}

TEST_CASE("what mergekit has and Assay does not read yet is named, with its line", "[mergekit]") {
  for (const char* key : {"modules", "tokenizer_source", "tokenizer", "chat_template"})
    CHECK_THAT(yaml_error(linear(std::string(key) + ": x\n")),
               StartsWith("m.yaml:4: ") && Contains(key) && Contains("not supported yet"));
  for (const char* method : {"karcher", "multislerp"})
    CHECK_THAT(yaml_error(std::string("models:\n- model: a\nmerge_method: ") + method),
               StartsWith("m.yaml:3: ") && Contains(method) && Contains("not supported yet"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels:\n- model: {model: {path: a}}\n"),
             StartsWith("m.yaml:3: ") && Contains("not supported yet"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels:\n- model: a\n  layer_range: [0, 1]\n"),
             StartsWith("m.yaml:4: ") && Contains("slices"));
  CHECK_THAT(yaml_error("base_model: a\nmodels:\n- {model: b}\n"),
             Contains("merge_method") && Contains("'experts' of a mixture"));
  CHECK_THAT(yaml_error(linear("dtype: float64")), StartsWith("m.yaml:4: ") && Contains("yet"));
}

TEST_CASE("keys that mergekit ignores are noted: names of merges, places of anchors",
          "[mergekit]") {
  const MergekitConfig config = parse_mergekit_yaml(
      "merge_method: linear\nname: mix\n.shared: &shared {weight: 1}\n"
      "models:\n- {model: a, parameters: *shared}\n",
      "m.yaml");
  CHECK(config.models[0].parameters.at("weight").find("x", 0) == 1);
  REQUIRE(config.notes.size() == 2);
  CHECK_THAT(config.notes[0], StartsWith("m.yaml:2: ") && Contains("'name' has no effect"));
  CHECK_THAT(config.notes[1], StartsWith("m.yaml:3: ") && Contains("'.shared'"));

  CHECK_THAT(parse_mergekit_yaml(linear("base_modle: &x a\n"), "m.yaml").notes.at(0),
             Contains("Did you mean 'base_model'?"));
  CHECK_THAT(yaml_error(linear("modules: &x []\n")), Contains("not supported yet"));
}

TEST_CASE("unknown names come with the nearest known one", "[mergekit]") {
  CHECK_THAT(yaml_error(linear("base_modle: a\n")),
             StartsWith("m.yaml:4: ") && Contains("Did you mean 'base_model'?"));
  CHECK_THAT(yaml_error("merge_method: tie\nmodels:\n- model: a\n"),
             StartsWith("m.yaml:1: ") && Contains("Did you mean 'ties'?"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels:\n- model: a\n  parameter: {}\n"),
             StartsWith("m.yaml:4: ") && Contains("Did you mean 'parameters'?"));
  CHECK_THAT(yaml_error(linear("parameters:\n  normalise: false\n")),
             StartsWith("m.yaml:5: ") && Contains("Did you mean 'normalize'?"));
  CHECK_THAT(yaml_error(linear("parameters:\n  weight: [{fliter: x, value: 1}]\n")),
             StartsWith("m.yaml:5: ") && Contains("Did you mean 'filter'?"));
  CHECK_THAT(yaml_error(linear("dtype: bfloat15\n")),
             StartsWith("m.yaml:4: ") && Contains("Did you mean 'bfloat16'?"));
}

TEST_CASE("a parameter that mergekit would ignore is an error", "[mergekit]") {
  CHECK_THAT(yaml_error(linear("parameters: {density: 0.5}\n")),
             StartsWith("m.yaml:4: ") && Contains("'density' is no parameter of 'linear'"));
  CHECK_THAT(yaml_error(linear("parameters: {gamma: 0.5}\n")),
             Contains("no parameter of 'linear'"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels:\n- model: a\n  parameters:\n    weight: 1\n"
                        "    normalize: false\n"),
             StartsWith("m.yaml:6: ") && Contains("top level"));
}

TEST_CASE("values of the wrong kind are named", "[mergekit]") {
  for (const char* value : {"heavy", "'1'", "true", ".inf", ".nan", "1e999", "0x10", "[]", "[[1]]",
                            "[1, x]", "[1, {value: 2}]", "{filter: x}", "{value: {}}", "1_000"})
    CHECK_THAT(yaml_error(linear(std::string("parameters: {weight: ") + value + "}\n")),
               StartsWith("m.yaml:4: "));
  CHECK_THAT(yaml_error(linear("parameters: {weight: heavy}\n")),
             Contains("a finite number for 'weight'") && Contains("'heavy'"));
  CHECK_THAT(yaml_error(linear("parameters: {normalize: 2}\n")),
             Contains("true or false for 'normalize'"));
  CHECK_THAT(yaml_error(linear("parameters: {weight: }\n")), Contains("'weight' has no value"));
  CHECK_THAT(yaml_error(linear("parameters: [weight]\n")), Contains("a map of parameters"));
  CHECK_THAT(yaml_error(linear("base_model: [a]\n")), Contains("a model, found a list of 1"));
}

TEST_CASE("a configuration names its method and its models, each once", "[mergekit]") {
  CHECK_THAT(yaml_error(""), StartsWith("m.yaml:1: ") && Contains("merge_method"));
  CHECK_THAT(yaml_error("models:\n- model: a\n"), Contains("'merge_method' is missing"));
  CHECK_THAT(yaml_error("merge_method: linear\n"), Contains("'models' is missing"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels: []\n"), Contains("a list of models"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels: [a]\n"), Contains("the key 'model'"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels: [{parameters: {}}]\n"),
             Contains("'model' is missing"));
  CHECK_THAT(yaml_error("merge_method: linear\nmodels:\n- model: a\n- model: a\n"),
             StartsWith("m.yaml:4: ") && Contains("line 3"));
}

TEST_CASE("text that is no YAML, or is malicious, is refused with its line", "[mergekit]") {
  CHECK_THAT(yaml_error("merge_method: [\n"), StartsWith("m.yaml:") && Contains("not valid YAML"));
  CHECK_THAT(yaml_error("merge_method: linear\nmerge_method: ties\n"),
             StartsWith("m.yaml:2: ") && Contains("twice"));
  CHECK_THAT(yaml_error("a: b\n---\nc: d\n"), Contains("second document"));
  CHECK_THAT(yaml_error("[a]: b\n"), Contains("a key must be text"));
  CHECK_THAT(yaml_error("a: &a {x: 1}\nb: {<<: *a}\n"),
             StartsWith("m.yaml:2: ") && Contains("merge keys"));
  CHECK_THAT(yaml_error("a: &a [*a]\n"), Contains("alias"));
  CHECK_THAT(yaml_error(repeated("[", 100)), Contains("m.yaml"));
  CHECK_THAT(yaml_error(repeated("[", 50) + repeated("]", 50)), Contains("levels"));
  CHECK_THAT(yaml_error(repeated("{a: ", 100'000)), Contains("m.yaml"));
  CHECK_THAT(yaml_error("a: [" + repeated("x, ", 30'000) + "]"), Contains("20000 nodes"));
  CHECK_THAT(yaml_error(std::string(2 << 20, ' ')), Contains("bytes"));
  std::string bomb = "a0: &a0 [" + repeated("x, ", 9) + "]\n";
  for (int i = 1; i < 9; ++i)
    bomb += fmt::format("a{}: &a{} [{}]\n", i, i, repeated(fmt::format("*a{}, ", i - 1), 9));
  CHECK_THAT(yaml_error(bomb), Contains("20000 nodes"));
}

TEST_CASE("a YAML tree knows its lines and what was quoted", "[mergekit]") {
  const YamlNode root = parse_yaml("a: 1\nb:\n  - '2'\n  - ~\n", "t.yaml");

  REQUIRE(root.is_map());
  CHECK_FALSE(root.find("a")->quoted);
  const YamlNode* list = root.find("b");
  REQUIRE((list && list->items.size() == 2));
  CHECK(list->items[0].quoted);
  CHECK(list->items[0].line == 3);
  CHECK(list->items[1].is_null());
  CHECK(root.find("c") == nullptr);
}
