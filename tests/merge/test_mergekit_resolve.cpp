#include "harness/core/error.h"
#include "harness/merge/mergekit/resolve.h"
#include "harness/method/method.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

const std::vector<std::string> kTensors{"lm_head.weight", "model.layers.0.mlp.weight",
                                        "model.layers.0.norm.weight", "model.layers.1.mlp.weight",
                                        "model.layers.2.mlp.weight"};

struct Resolved {
  MergekitModels models;
  MergekitPlan plan;

  explicit Resolved(const std::string& text, int64_t num_layers = 0) {
    const MergekitConfig config = parse_mergekit_yaml(text, "m.yaml");
    models = mergekit_models(config);
    plan = resolve_mergekit(config, models, kTensors, num_layers);
  }
  std::vector<std::string> experts() const {
    std::vector<std::string> names;
    for (const MergekitModel& model : models.experts) names.push_back(model.model);
    return names;
  }
  Json of(const std::string& tensor) const {
    for (const MergekitGroup& group : plan.groups)
      for (const std::string& name : group.tensors)
        if (name == tensor) return group.parameters;
    return nullptr;
  }
};

std::string resolve_error(const std::string& text) {
  try {
    Resolved resolved(text);
  } catch (const UserError& e) {
    return e.what();
  }
  return "no UserError";
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a layer's depth comes from its number and the config", "[mergekit]") {
  const LayerDepths depth(
      {"model.layers.0.a", "model.layers.4.a", "model.layers.2.experts.7.a", "norm"}, 0);
  CHECK(depth("model.layers.0.a") == 0);
  CHECK(depth("model.layers.1.b") == 0.25);
  CHECK(depth("model.layers.2.experts.7.a") == 0.5);
  CHECK(depth("model.layers.4.a") == 1);
  CHECK(depth("norm") == 0);

  const LayerDepths configured({"h.0.a", "h.1.a", "h.2.a"}, 2);  // layer 2 is not one of them
  CHECK(configured("h.1.a") == 1);
  CHECK(configured("h.2.a") == 1);

  CHECK(LayerDepths({"layers.0.a"}, 0)("layers.0.a") == 1);  // as in mergekit
  CHECK(LayerDepths({"layers.x.a", "..", "", "9999999.a"}, 0)("9999999.a") == 0);

  const LayerDepths stacks({"encoder.block.0.a", "encoder.block.4.a", "decoder.block.2.a"}, 9);
  CHECK(stacks("encoder.block.1.a") == 0.25);
  CHECK(stacks("decoder.block.1.a") == 0.5);
}

TEST_CASE("values are looked up next to the model, then at the top level", "[mergekit]") {
  const Resolved resolved(R"(
merge_method: ties
base_model: base
models:
- {model: a, parameters: {weight: [{filter: mlp, value: 5}]}}
- {model: b, parameters: {weight: 7, density: [0, 0.5, 1]}}
parameters:
  weight: [{filter: lm_head, value: 2}, {value: 3}]
  density: 0.5
  lambda: 0.9
)");

  CHECK(resolved.plan.groups.size() == 5);
  CHECK(resolved.plan.groups.front().method == "ties@mergekit");
  CHECK(resolved.of("model.layers.1.mlp.weight") == Json({{"weights", {5.0, 7.0}},
                                                          {"densities", {0.5, 0.5}},
                                                          {"trim.ties", "introsort"},
                                                          {"scale", 0.9},
                                                          {"reduce", "weighted_mean_agree"}}));
  CHECK(resolved.of("model.layers.0.norm.weight")["weights"] == Json({3.0, 0.0}));  // density 0
  CHECK(resolved.of("lm_head.weight")["weights"] == Json({2.0, 0.0}));
  CHECK(resolved.of("model.layers.2.mlp.weight")["densities"] == Json({0.5, 1.0}));
}

TEST_CASE("tensors with equal parameters form one group", "[mergekit]") {
  const Resolved resolved(R"(
merge_method: linear
models:
- {model: a, parameters: {weight: [{filter: mlp, value: 1}, {value: 2}]}}
- {model: b, parameters: {weight: 1}}
)");

  REQUIRE(resolved.plan.groups.size() == 2);
  CHECK(resolved.plan.groups[0].tensors == Names{"lm_head.weight", "model.layers.0.norm.weight"});
  CHECK(resolved.plan.groups[1].parameters == Json({{"weights", {1.0, 1.0}}, {"normalize", true}}));
}

TEST_CASE("each method of mergekit has its defaults", "[mergekit]") {
  const auto of = [](const std::string& method, const std::string& more = "") {
    return Resolved("merge_method: " + method +
                    "\nbase_model: base\nmodels: [{model: a}]\nparameters: {weight: 2" + more + "}")
        .of("lm_head.weight");
  };
  const Json weights = Json::array({2.0}), all = Json::array({1.0}), none = Json::array({0.0});
  CHECK(of("task_arithmetic") ==
        Json({{"weights", weights}, {"scale", 1.0}, {"normalize", false}}));
  CHECK(of("ties") == Json({{"weights", weights},
                            {"scale", 1.0},
                            {"densities", all},
                            {"trim.ties", "introsort"},
                            {"reduce", "weighted_mean_agree"}}));
  CHECK(of("ties", ", normalize: false")["reduce"] == "sum_agree");
  CHECK(of("dare_linear") == Json({{"weights", weights},
                                   {"scale", 1.0},
                                   {"normalize", false},
                                   {"drops", none},
                                   {"rescale", "l1_match"}}));
  CHECK(of("dare_ties") == Json({{"weights", weights},
                                 {"scale", 1.0},
                                 {"reduce", "sum_agree"},
                                 {"drops", none},
                                 {"rescale", "l1_match"}}));
  CHECK(of("dare_ties", ", density: 0.25, rescale: false")["drops"] == Json({0.75}));
  CHECK(of("dare_ties", ", density: 0.25, rescale: false")["rescale"] == "none");
  CHECK(of("dare_ties", ", density: 2")["drops"] == none);
  CHECK(Resolved("merge_method: slerp\nbase_model: a\nmodels: [{model: b}]\n"
                 "parameters: {t: [0, 1]}")
            .of("model.layers.1.mlp.weight") == Json({{"t", 0.5}}));
  CHECK(Resolved("merge_method: passthrough\nmodels: [{model: b, parameters: {scale: 2}}]\n")
            .of("lm_head.weight") == Json({{"scale", 2.0}}));
}

TEST_CASE("each of mergekit's sparsifying methods has its defaults", "[mergekit]") {
  const auto of = [](const std::string& method, const std::string& more = "") {
    return Resolved("merge_method: " + method +
                    "\nbase_model: base\nmodels: [{model: a, parameters: {weight: 2" + more + "}}]")
        .of("lm_head.weight");
  };
  const Json weights = Json::array({2.0}), all = Json::array({1.0}), none = Json::array({0.0});
  CHECK(of("breadcrumbs") == Json({{"weights", weights},
                                   {"scale", 1.0},
                                   {"normalize", false},
                                   {"densities", all},
                                   {"gammas", {0.01}},
                                   {"rescale", false}}));
  CHECK(of("breadcrumbs_ties")["reduce"] == "sum_agree");
  CHECK(of("breadcrumbs_ties", ", gamma: 0.5")["gammas"] == Json({0.5}));
  CHECK(of("della") == Json({{"weights", weights},
                             {"scale", 1.0},
                             {"reduce", "weighted_mean_agree"},
                             {"drops", none},
                             {"windows", {0.3}},
                             {"rescale", "l1_match"}}));
  CHECK(of("della_linear") == Json({{"weights", weights},
                                    {"scale", 1.0},
                                    {"normalize", false},
                                    {"drops", none},
                                    {"windows", {0.3}},
                                    {"rescale", "l1_match"}}));
  CHECK(of("della", ", density: 0.75, epsilon: 0.125")["drops"] == Json({0.25}));
  CHECK(of("della", ", density: 0.75, epsilon: 0.125")["windows"] == Json({0.25}));
}

TEST_CASE("each of mergekit's methods on entries and angles has its defaults", "[mergekit]") {
  const auto of = [](const std::string& method, const std::string& list,
                     const std::string& parameters = "{}") {
    const Resolved resolved("merge_method: " + method + "\nbase_model: base\nmodels: " + list +
                            "\nparameters: " + parameters);
    const MergekitGroup& group = resolved.plan.groups.front();
    // The preset takes them.
    CHECK_NOTHROW(make_method(group.method, JsonReader(group.parameters, "test")));
    return group.parameters;
  };
  const std::string one = "[{model: a}]", two = "[{model: a}, {model: b}]";
  CHECK(of("sce", one) == Json({{"select_topk", 1.0}}));
  CHECK(of("ram", one) == Json({{"epsilon", 1e-5}}));
  CHECK(of("ramplus_tl", one) == Json({{"r", .1}, {"alpha", .2}, {"epsilon", 1e-5}}));
  CHECK(of("ramplus_tl", one, "{r: 0.5}")["r"] == .5);
  CHECK(of("model_stock", two) == Json({{"scope", "tensor"}}));
  CHECK(of("model_stock", two, "{filter_wise: true}") == Json({{"scope", "row"}}));
  CHECK(of("nearswap", one, "{t: 0.25}") == Json({{"t", .25}}));
  CHECK(of("arcee_fusion", one) == Json::object());
  CHECK(of("nuslerp", two, "{weight: 3}") ==
        Json({{"weights", {3.0, 3.0}}, {"scope", "tensor"}, {"task_vectors", true}}));
  CHECK(of("nuslerp", two, "{weight: 3, nuslerp_flatten: false}")["scope"] == "row");
  CHECK(of("nuslerp", two,
           "{weight: 3, nuslerp_flatten: false, nuslerp_row_wise: true}")["scope"] == "column");
}

TEST_CASE("nuslerp merges two models, of task vectors where there is a base", "[mergekit]") {
  const auto models = [](const std::string& rest) {
    return Resolved("merge_method: nuslerp\nparameters: {weight: 1}\n" + rest);
  };
  const Resolved alone = models("models: [{model: a}, {model: b}]");
  CHECK_FALSE(alone.models.base);
  CHECK(alone.of("lm_head.weight")["task_vectors"] == false);
  const Resolved based = models("base_model: c\nmodels: [{model: a}, {model: c}, {model: b}]");
  CHECK(based.models.base->model == "c");
  CHECK(based.experts() == Names{"a", "b"});

  const std::string nuslerp = "merge_method: nuslerp\nparameters: {weight: 1}\n";
  CHECK_THAT(resolve_error(nuslerp + "base_model: a\nmodels: [{model: a}, {model: b}]"),
             StartsWith("m.yaml:1: ") && Contains("two models besides the base_model"));
  CHECK_THAT(resolve_error(nuslerp + "models: [{model: a}]"), Contains("1 are given"));
  const MergekitConfig sliced = parse_mergekit_yaml(
      nuslerp +
          "slices:\n- base_model: c\n  sources:\n  - {model: a, layer_range: [0, 1]}\n"
          "  - {model: b, layer_range: [0, 1]}\n  - {model: c, layer_range: [0, 1]}\n",
      "m.yaml");
  CHECK_THROWS_WITH(mergekit_models(sliced, &sliced.slices[0]),
                    StartsWith("m.yaml:4: ") && Contains("at the top level"));
  CHECK_THAT(resolve_error("merge_method: nearswap\nbase_model: a\nmodels: [{model: b}]"),
             StartsWith("m.yaml:1: ") && Contains("'t'"));
}

TEST_CASE("the base plays the part that mergekit gives it", "[mergekit]") {
  const auto models = [](const std::string& method, const std::string& list,
                         const std::string& base) {
    return Resolved(
        "merge_method: " + method + "\nmodels: " + list +
        (base.empty() ? "" : "\nbase_model: " + base) +
        (method == "slerp" ? "\nparameters: {t: 0.5}\n" : "\nparameters: {weight: 1}\n"));
  };
  const std::string ab = "[{model: a}, {model: b}]";

  // Task vectors: the base's own entry is ignored.
  Resolved resolved = models("ties", ab, "a");
  CHECK(resolved.experts() == Names{"b"});
  REQUIRE(resolved.models.base);
  CHECK(resolved.models.base->model == "a");
  CHECK(models("ties", ab, "c").experts() == Names{"a", "b"});

  // SLERP: t = 0 is the base, whatever the order.
  CHECK(models("slerp", ab, "a").experts() == Names{"a", "b"});
  CHECK(models("slerp", ab, "b").experts() == Names{"b", "a"});
  CHECK(models("slerp", "[{model: b}]", "a").experts() == Names{"a", "b"});
  CHECK_FALSE(models("slerp", ab, "b").models.base);

  // Linear: an ordinary model, which also gives the config and the tokenizer.
  CHECK(models("linear", ab, "").experts() == Names{"a", "b"});
  resolved = models("linear", ab, "b");
  CHECK(resolved.experts() == Names{"a", "b"});
  CHECK(resolved.models.like == 1);
  CHECK_FALSE(resolved.models.base);
  CHECK(models("linear", ab, "c").experts() == Names{"a", "b", "c"});
}

TEST_CASE("models that a method cannot use are refused with the line", "[mergekit]") {
  const std::string ab = "models: [{model: a}, {model: b}]\n";
  CHECK_THAT(resolve_error(ab + "merge_method: ties\nparameters: {weight: 1}\n"),
             StartsWith("m.yaml:2: ") && Contains("needs a base_model"));
  CHECK_THAT(resolve_error(ab + "merge_method: slerp\nbase_model: c\nparameters: {t: 1}\n"),
             StartsWith("m.yaml:2: ") && Contains("3 models"));
  CHECK_THAT(resolve_error(ab + "merge_method: passthrough\n"),
             StartsWith("m.yaml:2: ") && Contains("one model, and 2"));
  CHECK_THAT(resolve_error("merge_method: ties\nbase_model: a\nmodels: [{model: a}]\n"
                           "parameters: {weight: 1}\n"),
             Contains("besides the base_model"));
}

TEST_CASE("a parameter that is missing for a tensor is named with it", "[mergekit]") {
  CHECK_THAT(resolve_error("merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n"
                           "- model: b\n  parameters: {weight: [{filter: mlp, value: 1}]}\n"),
             StartsWith("m.yaml:4: ") && Contains("'weight' of the model 'b'") &&
                 Contains("'lm_head.weight'"));
  CHECK_THAT(resolve_error("merge_method: slerp\nmodels: [{model: a}]\nbase_model: b\n"),
             StartsWith("m.yaml:1: ") && Contains("'t' is missing"));
  // mergekit merges an unlisted base as one more model, which then lacks a weight.
  CHECK_THAT(resolve_error("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"
                           "base_model: b\n"),
             StartsWith("m.yaml:3: ") && Contains("'weight' of the model 'b'"));
  CHECK_THAT(resolve_error("merge_method: ties\nmodels: [{model: a}]\nbase_model: b\n"
                           "parameters:\n  weight: 1\n  rescale: true\n"),
             StartsWith("m.yaml:6: ") && Contains("not supported yet"));
}

TEST_CASE("what has no effect is noted", "[mergekit]") {
  const Resolved resolved(R"(merge_method: task_arithmetic
base_model: base
models:
- {model: base, parameters: {weight: 1}}
- {model: a, parameters: {weight: [{filter: self_atn, value: 2}, {value: 1}]}}
parameters: {int8_mask: true, density: 0.5}
)");

  const std::vector<std::string>& notes = resolved.plan.notes;
  REQUIRE(notes.size() == 4);
  CHECK_THAT(notes[0], StartsWith("m.yaml:6: ") && Contains("'density' has no effect"));
  CHECK_THAT(notes[1], StartsWith("m.yaml:6: ") && Contains("'int8_mask' has no effect"));
  CHECK_THAT(notes[2], StartsWith("m.yaml:4: ") && Contains("the base_model"));
  CHECK_THAT(notes[3], StartsWith("m.yaml:5: ") && Contains("'self_atn'"));
}
