// Parameters that are methods themselves.
#include <ATen/ATen.h>

#include "harness/method/method.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// The first expert, scaled.
struct InnerSample {
  static constexpr MethodInfo info{.name = "component_inner",
                                   .version = 3,
                                   .paper = "https://example.org",
                                   .summary = "for tests of components",
                                   .needs = {.base = true, .max_experts = 4},
                                   .elementwise = true};
  static constexpr Preset presets[] = {{"double", R"({"scale": 2})", "twice"}};
  double scale = 1;
  bool strict = false;

  void parameters(auto&& p) {
    p(scale, {.name = "scale", .range = {0, 4}, .sweep = {1, 2}, .help = "a factor"});
    p(strict, {.name = "strict", .help = "a switch"});
  }
  std::optional<std::string> conflict() const {
    if (strict && scale == 0) return "'strict' and a scale of 0";
    return std::nullopt;
  }
  at::Tensor merge(const TensorJob& job) const { return job.experts.front() * scale; }
};
ASSAY_METHOD(InnerSample)

/// Passes everything on to another method.
struct OuterSample {
  static constexpr MethodInfo info{.name = "component_outer",
                                   .paper = "https://example.org",
                                   .summary = "for tests of components",
                                   .needs = {.min_experts = 2, .tokenizer = true}};
  static constexpr Preset presets[] = {{"strict", R"({"of": {"strict": true}})", "strict"}};
  MethodComponent of{"component_inner"};
  int64_t steps = 1;

  void parameters(auto&& p) {
    p(of, {.name = "of", .help = "the method to pass on to"});
    p(steps, {.name = "steps", .range = {1, 9}, .help = "a count"});
  }
  Granularity granularity() const { return of->granularity(); }
  void prepare(const ModelJob& job) { of->prepare(job); }
  std::any measure(const TensorParts& tensor) const { return of->measure(tensor); }
  at::Tensor merge(const TensorJob& job, const std::any& measured) const {
    return of->merge(job, measured);
  }
  StateDict merge_model(const ModelJob& job) const { return of->merge_model(job); }
};

ASSAY_METHOD(OuterSample)

std::unique_ptr<Method> make(const std::string& ref, const std::string& json) {
  const Json parsed = Json::parse(json);
  return make_method(ref, JsonReader(parsed, "sweep.json: $.methods[3].parameters"));
}

Json made(const std::string& json, const std::string& ref = "component_outer") {
  return make(ref, json)->parameters();
}

const Json kFull = {
    {"of", {{"method", "component_inner"}, {"scale", 1.0}, {"strict", false}, {"version", 3}}},
    {"steps", 1}};

}  // namespace

TEST_CASE("a component is stored in full and read again", "[method]") {
  CHECK(made("{}") == kFull);
  CHECK(made(kFull.dump()) == kFull);

  CHECK(made(R"({"of": "component_inner@double"})")["of"]["scale"] == 2.0);
  CHECK(made(R"({"of": {"method": "component_inner@double"}})")["of"]["scale"] == 2.0);
  CHECK(made(R"({"of": {"method": "component_inner@double", "scale": 3}})")["of"]["scale"] == 3.0);
  CHECK(made(R"({"of": {"scale": 3}})")["of"]["scale"] == 3.0);  // of the default

  const Json nested = made(R"({"of": {"method": "component_outer", "of": {"scale": 3}}})");
  CHECK(nested["of"]["of"]["scale"] == 3.0);
  CHECK(made(nested.dump()) == nested);
}

TEST_CASE("a preset's component keeps what the user does not change", "[method]") {
  const Json changed = made(R"({"of": {"scale": 3}})", "component_outer@strict");
  CHECK(changed["of"]["strict"] == true);
  CHECK(changed["of"]["scale"] == 3.0);
  CHECK(made(R"({"of": "component_inner"})", "component_outer@strict")["of"]["strict"] == false);
}

TEST_CASE("errors in a component name the place in the file", "[method]") {
  const std::string place = "sweep.json: $.methods[3].parameters.of";
  CHECK_THROWS_WITH(made(R"({"of": {"scale": 5}})"),
                    Contains(place + ".scale: ") && Contains("must lie in [0, 4], found 5"));
  CHECK_THROWS_WITH(made(R"({"of": {"scael": 1}})"), Contains("Did you mean 'scale'?"));
  CHECK_THROWS_WITH(made(R"({"of": "component_iner"})"),
                    Contains(place) && Contains("Did you mean 'component_inner'?"));
  CHECK_THROWS_WITH(made(R"({"of": {"method": "component_inner@duble"}})"),
                    Contains("Did you mean 'double'?"));
  CHECK_THROWS_WITH(made(R"({"of": 3})"), Contains(place + ": expected a method"));
  CHECK_THROWS_WITH(made(R"({"of": {"method": 3}})"), Contains(place + ".method"));
  CHECK_THROWS_WITH(made(R"({"of": {"version": 2}})"),
                    Contains(place + ".version: component_inner has version 3 here, found 2"));
  CHECK_THROWS_WITH(made(R"({"of": {"scale": 0, "strict": true}})"),
                    Contains("of: 'strict' and a scale of 0"));
}

TEST_CASE("what a component asks for is asked for by the method that has it", "[method]") {
  const auto method = make("component_outer", "{}");
  CHECK(method->granularity() == Granularity::kParts);
  CHECK_FALSE(method->randomized());
  const Needs needs = method->needs();
  CHECK(needs.base);
  CHECK(needs.tokenizer);
  CHECK_FALSE(needs.calibration_inputs);
  CHECK(needs.min_experts == 2);
  CHECK(needs.max_experts == 4);

  CHECK(make("component_outer", R"({"of": "dare"})")->randomized());
  const auto regmean = make("component_outer", R"({"of": "regmean"})");
  REQUIRE(regmean->statistics().size() == 1);
  CHECK(regmean->statistics()[0].name == "input_gram");
  CHECK(regmean->needs().calibration_inputs);
  CHECK(regmean->granularity() == Granularity::kTensors);

  TensorJob job;
  job.experts = {at::ones({2})};
  CHECK(at::equal(make("component_outer", R"({"of": {"scale": 3}})")->merge(job, {}),
                  at::full({2}, 3.0)));
}

TEST_CASE("united needs are those of both", "[method]") {
  const Needs both = unite({.base = true, .min_experts = 2, .max_experts = 3, .gradients = true},
                           {.max_experts = 2, .tokenizer = true, .output = Output::kWider});
  CHECK((both.base && both.gradients && both.tokenizer && !both.calibration_labels));
  CHECK((both.min_experts == 2 && both.max_experts == 2));
  CHECK(both.output == Output::kWider);
}

TEST_CASE("components are documented as trees and compared by dotted names", "[method]") {
  const std::vector<ParamDoc> docs = methods().at("component_outer", "test").parameters();
  REQUIRE(docs.size() == 2);
  CHECK(docs[0].type == "method");
  CHECK(docs[0].default_value == kFull["of"]);
  REQUIRE(docs[0].children.size() == 2);
  CHECK(docs[0].children[0].name == "scale");

  const std::vector<ParamDoc> flat = flat_docs(docs);
  REQUIRE(flat.size() == 4);
  CHECK(flat[1].name == "of.scale");
  CHECK(flat[3].name == "steps");

  CHECK(flat_parameters(kFull) ==
        Json{{"of", "component_inner"}, {"of.scale", 1.0}, {"of.strict", false}, {"steps", 1}});
  CHECK(changed_parameters(docs, kFull) == Json::object());
  CHECK(changed_parameters(docs, made(R"({"of": {"scale": 3}})")) == Json{{"of.scale", 3.0}});
  CHECK(changed_parameters(docs, made(R"({"of": "component_outer", "steps": 2})")) ==
        Json{{"of", "component_outer"}, {"steps", 2}});

  const auto doubled = make("component_outer", R"({"of": "component_inner@double"})");
  const std::vector<ParamDoc> configured = configured_docs(*doubled);
  CHECK(configured[0].children[0].default_value == 2.0);
}
