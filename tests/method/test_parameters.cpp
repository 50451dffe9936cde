#include "harness/method/method.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// One parameter of every type; merge() is never called here.
struct Sample {
  static constexpr MethodInfo info{.name = "sample_of_parameters",
                                   .paper = "https://example.org",
                                   .summary = "for tests of parameters"};
  static constexpr Preset presets[] = {
      {.name = "peer", .parameters = R"({"density": 0.9, "scope": "tensor"})", .help = "a peer"}};
  enum class Scope { kModel, kTensor };

  double density = 0.2;
  int64_t steps = 10;
  bool rescale = true;
  Scope scope = Scope::kModel;
  std::vector<double> weights;
  std::string prompt = "none";
  std::vector<std::string> words{"a"};

  void parameters(auto&& p) {
    p(density, {.name = "density", .range = {0, 1}, .sweep = {0.1, 0.5}, .help = "share kept"});
    p(steps, {.name = "steps", .range = {1, 100}, .sweep = {10, 20}, .help = "a count"});
    p(rescale, {.name = "rescale", .help = "a switch"});
    p(scope, {.name = "scope", .choices = {"model", "tensor"}, .help = "a choice"});
    p(weights, {.name = "weights", .range = {0, 2}, .help = "a list"});
    p(prompt, {.name = "prompt", .help = "a text"});
    p(words, {.name = "words", .help = "texts"});
  }
  at::Tensor merge(const TensorJob& job) const { return job.experts.at(0); }
};
ASSAY_METHOD(Sample)

struct WithoutParameters {};

Sample assigned(const std::string& json) {
  const Json parsed = Json::parse(json);
  Sample sample;
  assign_parameters(sample, JsonReader(parsed, "sweep.json: $.parameters"));
  return sample;
}

Json parameters_of(const std::string& ref, const std::string& json = "{}") {
  const Json parsed = Json::parse(json);
  return make_method(ref, JsonReader(parsed, "here"))->parameters();
}

}  // namespace

TEST_CASE("one declaration documents every parameter", "[method]") {
  const std::vector<ParamDoc> docs = describe_parameters<Sample>();
  REQUIRE(docs.size() == 7);
  CHECK(docs[0].name == "density");
  CHECK(docs[0].type == "number");
  CHECK(docs[0].default_value == 0.2);
  CHECK(docs[0].range.high == 1);
  CHECK(docs[0].help == "share kept");
  CHECK(docs[0].sweep == std::vector<Json>{0.1, 0.5});
  CHECK(docs[1].type == "integer");
  CHECK(docs[1].sweep[0].is_number_integer());
  CHECK(docs[2].type == "boolean");
  CHECK(docs[3].type == "choice");
  CHECK(docs[3].default_value == "model");
  CHECK(docs[3].choices == std::vector<std::string>{"model", "tensor"});
  CHECK(docs[4].type == "list of numbers");
  CHECK(docs[5].type == "text");
  CHECK(docs[5].default_value == "none");
  CHECK(docs[6].type == "list of texts");
  CHECK(docs[6].default_value == Json{"a"});
  CHECK(describe_parameters<WithoutParameters>().empty());
}

TEST_CASE("parameters are set by name and the others keep their defaults", "[method]") {
  const Sample sample =
      assigned(R"({"density": 1, "scope": "tensor", "weights": [0.5, 2], "steps": 7})");
  CHECK(sample.density == 1.0);
  CHECK(sample.scope == Sample::Scope::kTensor);
  CHECK(sample.weights == std::vector<double>{0.5, 2.0});
  CHECK(sample.steps == 7);
  CHECK(sample.rescale);
  CHECK(assigned(R"({"prompt": "say", "words": ["b", ""]})").words ==
        std::vector<std::string>{"b", ""});

  CHECK(parameters_to_json(sample) == Json::parse(R"({"density": 1.0, "steps": 7, "rescale": true,
                                        "scope": "tensor", "weights": [0.5, 2.0],
                                        "prompt": "none", "words": ["a"]})"));
}

TEST_CASE("wrong parameters are refused with what is allowed", "[method]") {
  CHECK_THROWS_WITH(assigned(R"({"density": 1.5})"),
                    "sweep.json: $.parameters.density: parameter "
                    "'density' must lie in [0, 1], found 1.5");
  CHECK_THROWS_AS(assigned(R"({"density": -0.1})"), UserError);
  CHECK_THROWS_AS(assigned(R"({"density": "0.5"})"), UserError);
  CHECK_THROWS_AS(assigned(R"({"density": null})"), UserError);
  CHECK_THROWS_WITH(assigned(R"({"steps": 1.5})"), Contains("expected an integer"));
  CHECK_THROWS_AS(assigned(R"({"steps": 0})"), UserError);
  CHECK_THROWS_AS(assigned(R"({"rescale": 1})"), UserError);
  CHECK_THROWS_WITH(assigned(R"({"weights": [1, 3]})"), Contains("$.parameters.weights[1]"));
  CHECK_THROWS_WITH(assigned(R"({"prompt": 3})"), Contains("$.parameters.prompt: expected"));
  CHECK_THROWS_WITH(assigned(R"({"words": ["a", 3]})"), Contains("$.parameters.words[1]"));
  CHECK_THROWS_AS(assigned(R"({"words": "a"})"), UserError);
  CHECK_THROWS_WITH(assigned(R"({"scope": "tensors"})"), Contains("Did you mean 'tensor'?"));
  CHECK_THROWS_WITH(assigned(R"({"denisty": 0.5})"), Contains("Did you mean 'density'?"));
  CHECK_THROWS_AS(assigned("[]"), UserError);
}

TEST_CASE("method references name a method and perhaps a preset", "[method]") {
  CHECK(parse_method_ref("ties").name == "ties");
  CHECK(parse_method_ref("ties").preset.empty());
  CHECK(parse_method_ref("ties@mergekit").name == "ties");
  CHECK(parse_method_ref("ties@mergekit").preset == "mergekit");
  CHECK_THROWS_AS(parse_method_ref("ties@"), UserError);
}

TEST_CASE("a preset sets parameters, and the user's override it", "[method]") {
  CHECK(parameters_of("sample_of_parameters")["density"] == 0.2);
  CHECK(parameters_of("sample_of_parameters@peer")["density"] == 0.9);
  CHECK(parameters_of("sample_of_parameters@peer")["scope"] == "tensor");
  CHECK(parameters_of("sample_of_parameters@peer", R"({"density": 0.3})")["density"] == 0.3);

  CHECK_THROWS_WITH(parameters_of("sample_of_parameters@per"), Contains("Did you mean 'peer'?"));
  CHECK_THROWS_WITH(parameters_of("sample_of_parameter"),
                    Contains("Did you mean 'sample_of_parameters'?"));
  CHECK_THROWS_AS(parameters_of("sample_of_parameters@peer", R"({"density": 3})"), UserError);
}
