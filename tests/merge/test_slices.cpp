// Results made of slices of layers, in mergekit's YAML and in JSON.
#include <fmt/format.h>

#include "harness/checkpoint/layer_stack.h"
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/explain.h"
#include "harness/merge/merge_folder.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// Works on whole models.
struct WholeSlices {
  static constexpr MethodInfo info{
      .name = "whole_slices", .paper = "https://example.org", .summary = "for tests"};
  void parameters(auto&&) {}
  StateDict merge_model(const ModelJob& job) const {
    StateDict made;
    for (const std::string& name : job.names()) made[name] = job.tensor(name).experts.front();
    return made;
  }
};
ASSAY_METHOD(WholeSlices)

std::string mlp(int64_t layer) { return fmt::format("model.layers.{}.mlp.weight", layer); }

/// Models of an embedding, layers, a norm and a head in a folder. Layer i of a model has the value
/// `first` + i everywhere, and what is outside of layers `first` - 1.
class LayersFolder {
 public:
  void model(const std::string& name, float first, int64_t layers, Json config = {}) const {
    StateDict tensors;
    for (const char* outside : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"})
      tensors[outside] = at::full({2, 2}, first - 1);
    for (int64_t i = 0; i < layers; ++i) {
      tensors[mlp(i)] = at::full({2, 2}, first + static_cast<float>(i));
      tensors[fmt::format("model.layers.{}.steps", i)] = at::tensor({static_cast<int64_t>(i)});
    }
    config["num_hidden_layers"] = layers;
    config["vocab_size"] = 2;
    CheckpointExtras extras;
    extras.config = config;
    write_checkpoint(path() / name, tensors, extras, /*replace=*/false);
  }
  MergeRequest read(const std::string& text) const {
    const char* name = text.starts_with('{') ? "m.json" : "m.yaml";
    write_file(path() / name, text);
    return MergeRequest::read(path() / name);
  }
  /// The merge of the file, in a folder of its own.
  std::shared_ptr<const Checkpoint> merge(const std::string& text,
                                          const FolderOptions& options = {}) const {
    MergeRequest request = read(text);
    const fs::path out = path() / fmt::format("out{}", merges_++);
    merge_to_folder(request, options, out);
    return Checkpoint::open(out);
  }
  std::string error(const std::string& text) const {
    try {
      const MergeRequest request = read(text);
      return request.problems.empty() ? "no error" : request.problems.front();
    } catch (const std::exception& e) {
      return e.what();
    }
  }
  fs::path path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
  mutable int merges_ = 0;
};

float value(const Checkpoint& model, const std::string& name) {
  return model.read(name).to(at::kFloat).flatten()[0].item<float>();
}

/// The values of the layers, in order.
std::vector<float> layers(const Checkpoint& model) {
  std::vector<float> values;
  for (int64_t i = 0; model.find(mlp(i)); ++i) values.push_back(value(model, mlp(i)));
  return values;
}

using Values = std::vector<float>;

constexpr const char* kStack = R"(
merge_method: passthrough
slices:
- sources: [{model: a, layer_range: [0, 2]}]
- sources: [{model: b, layer_range: [1, 3], parameters: {scale: [{filter: layers.2, value: 0.5}, {value: 1}]}}]
- sources: [{model: a, layer_range: [1, 2]}]
)";

}  // namespace

TEST_CASE("slices stack the layers of several models", "[merge]") {
  const LayersFolder folder;
  folder.model("a", 10, 3, {{"layer_types", {"x", "y", "z"}}});
  folder.model("b", 20, 3, {{"layer_types", {"u", "v", "w"}}});

  const auto stack = folder.merge(kStack);

  // A model's filter looks at the name of the layer that is taken.
  CHECK(layers(*stack) == Values{10, 11, 21, 11, 11});
  CHECK(value(*stack, "model.embed_tokens.weight") == 9);
  CHECK(value(*stack, "lm_head.weight") == 9);
  CHECK(at::equal(stack->read("model.layers.3.steps"), at::tensor({int64_t{2}})));  // not scaled
  CHECK(stack->config()["num_hidden_layers"] == 5);
  CHECK(stack->config()["layer_types"] == Json({"x", "y", "v", "w", "y"}));
  CHECK(stack->tensors().size() == 3 + 5 * 2);
  const Json& inputs = stack->origin()["merge"]["inputs"];
  CHECK(inputs["experts"][1]["hash"] == Checkpoint::open(folder.path() / "b")->content_hash());
}

TEST_CASE("embeddings are of the first slice, norm and head of the last", "[merge]") {
  const LayersFolder folder;
  folder.model("a", 10, 2);
  folder.model("b", 20, 4);  // of another depth

  const auto stack = folder.merge(R"({"method": "passthrough", "slices": [
    {"sources": [{"model": "a", "layer_range": [0, 1]}]},
    {"sources": [{"model": "b", "layer_range": [1, 4]}], "parameters": {"scale": 2}}]})");

  CHECK(layers(*stack) == Values{10, 42, 44, 46});
  CHECK(value(*stack, "model.embed_tokens.weight") == 9);
  CHECK(value(*stack, "model.norm.weight") == 38);
  CHECK(value(*stack, "lm_head.weight") == 38);
}

TEST_CASE("slices are merged with parameters of their own", "[merge]") {
  const LayersFolder folder;
  folder.model("base", 0, 4);
  folder.model("a", 10, 4);
  folder.model("b", 20, 4);

  // The second slice's gradient goes over its own layers.
  const auto merged = folder.merge(R"(
merge_method: linear
slices:
- sources:
  - {model: a, layer_range: [0, 1]}
  - {model: b, layer_range: [3, 4]}
- sources:
  - {model: a, layer_range: [1, 4], parameters: {weight: [1, 0.5, 0]}}
  - {model: b, layer_range: [0, 3]}
  parameters: {weight: [0, 0.5, 1]}
parameters: {weight: 0.5}
)");
  CHECK(layers(*merged) == Values{16.5, 11, 16.5, 22});
  CHECK(value(*merged, "model.embed_tokens.weight") == 14);
  CHECK(value(*merged, "lm_head.weight") == 9);  // at the depth of the slice's first layer

  const auto task = folder.merge(R"(
merge_method: task_arithmetic
base_model: base
slices:
- sources:
  - {model: base, layer_range: [1, 3]}
  - {model: a, layer_range: [0, 2], parameters: {weight: 2}}
)");
  CHECK(layers(*task) == Values{1 + 2 * 9, 2 + 2 * 9});

  const auto json = folder.merge(R"({"method": "task_arithmetic", "base": "base",
    "parameters": {"scale": 1}, "slices": [{"sources": [
      {"model": "a", "layer_range": [0, 2]}, {"model": "base", "layer_range": [1, 3]}],
      "parameters": {"weights": [2]}}]})");
  CHECK(layers(*json) == Values{1 + 2 * 9, 2 + 2 * 9});
}

TEST_CASE("a slice that is all of one model is the merge of the model", "[merge]") {
  const LayersFolder folder;
  folder.model("a", 1.5, 3);
  folder.model("b", 2.5, 3);
  const auto whole =
      folder
          .merge(
              "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: [0.25, 1]}\n")
          ->content_hash();
  const auto sliced = folder.merge(
      "merge_method: linear\nslices:\n- sources: [{model: a, layer_range: [0, 3]}, "
      "{model: b, layer_range: [0, 3]}]\nparameters: {weight: [0.25, 1]}\n");
  CHECK(sliced->content_hash() == whole);
  CHECK(sliced->config()["num_hidden_layers"] == 3);
}

TEST_CASE("wrong layer ranges are errors that say where", "[merge]") {
  const LayersFolder folder;
  folder.model("a", 10, 3);
  folder.model("b", 20, 4);
  const auto one = [&](const std::string& range) {
    return folder.error(
        "merge_method: passthrough\nslices:\n- sources:\n  - {model: a, "
        "layer_range: " +
        range + "}\n");
  };
  CHECK_THAT(one("[1, 1]"), StartsWith("m.yaml:4: ") && Contains("holds no layer"));
  CHECK_THAT(one("[2, 1]"), Contains("holds no layer"));
  CHECK_THAT(one("[2, 4]"), Contains("beyond the model") && Contains("has 3 layers"));
  CHECK_THAT(one("[0, 999999999]"), Contains("beyond the model"));
  for (const char* range : {"[0]", "[0, 1, 2]", "2", "{}", "[a, 1]", "[-1, 2]", "[0.5, 1]",
                            "[0, 99999999999999999999]", "['0', 1]"})
    CHECK_THAT(one(range), StartsWith("m.yaml:4: expected "));
  CHECK_THAT(folder.error("merge_method: linear\nparameters: {weight: 1}\nslices:\n- sources:\n"
                          "  - {model: a, layer_range: [0, 3]}\n"
                          "  - {model: b, layer_range: [0, 4]}\n"),
             StartsWith("m.yaml:6: ") && Contains("holds 4 layers") && Contains("first one 3"));
  CHECK_THAT(folder.error(R"({"method": "passthrough", "slices": [{"sources": [
             {"model": "a", "layer_range": [0, 9]}]}]})"),
             Contains("slices[0].sources[0]") && Contains("beyond the model"));
}

TEST_CASE("what slices need is said", "[merge]") {
  const LayersFolder folder;
  folder.model("a", 10, 3);
  folder.model("b", 20, 3);
  const std::string both =
      "slices:\n- sources:\n  - {model: a, layer_range: [0, 3]}\n  - {model: b, layer_range: [0, "
      "3]}\n";
  CHECK_THAT(folder.error("merge_method: passthrough\n" + both), Contains("takes one model"));
  CHECK_THAT(folder.error("merge_method: slerp\nparameters: {t: 0}\n" + both),
             Contains("needs a base_model"));
  CHECK_THAT(folder.error("merge_method: ties\nparameters: {weight: 1}\nbase_model: c\n" + both),
             StartsWith("m.yaml:5: ") && Contains("'c' among the sources of every slice"));
  CHECK_THAT(folder.error("merge_method: linear\nmodels: [{model: a}]\n" + both),
             StartsWith("m.yaml:4: ") && Contains("exclude each other"));
  CHECK_THAT(folder.error("merge_method: passthrough\nslices:\n- {source: []}\n"),
             StartsWith("m.yaml:3: ") && Contains("Did you mean 'sources'?"));
  CHECK_THAT(folder.error("merge_method: passthrough\nslices:\n- sources:\n  - {model: a}\n"),
             StartsWith("m.yaml:4: ") && Contains("'layer_range' is missing"));
  CHECK_THAT(folder.error("merge_method: passthrough\nslices: []\n"), Contains("a list of slices"));
  CHECK_THAT(folder.error(R"({"method": "passthrough", "slices": [{"sources": [
             {"model": "a", "layer_range": [0, 1]}, {"model": "b", "layer_range": [0, 1]}]}]})"),
             Contains("exactly 1 expert"));
  CHECK_THAT(folder.error(R"({"method": "ties", "base": "a", "slices": [{"sources": [
             {"model": "b", "layer_range": [0, 1]}]}]})"),
             Contains("base"));
  const auto refused = [&](const std::string& method) {
    return folder.error(fmt::format(R"({{"method": "{}", "base": "a", "slices": [{{"sources": [
             {{"model": "a", "layer_range": [0, 1]}}, {{"model": "b", "layer_range": [0, 1]}}]}}]}})",
                                    method));
  };
  CHECK_THAT(refused("emr"),
             Contains("slices[0]") && Contains("emr gives") && Contains("a model per task"));
  CHECK_THAT(refused("regmean"), Contains("slices[0]") && Contains("looks at data"));
  CHECK_THAT(refused("whole_slices"), Contains("merges whole models"));
  CHECK_THAT(refused(R"(needing", "parameters": {"need": "tokenizer"}, "dtype": "float32)"),
             Contains("needing: needs models of one tokenizer"));
}

TEST_CASE("the layers of a model are one numbered stack", "[merge]") {
  const auto model = source("m", {{"h.0.a.1.w", at::ones({1})},
                                  {"h.1.a.1.w", at::ones({1})},
                                  {"h.10x.w", at::ones({1})},
                                  {"wte", at::ones({1})}});
  const LayerStack stack(*model, {{"n_layer", 2}});
  CHECK(stack.size() == 2);
  CHECK(stack.layer(1).front()->name == "h.1.a.1.w");
  CHECK(stack.renumbered("h.1.a.1.w", 12) == "h.12.a.1.w");
  CHECK(stack.outside().size() == 2);
  CHECK_THROWS_WITH(LayerStack(*model, {{"n_layer", 3}}), Contains("'h.' with 2"));
  CHECK_THROWS_WITH(LayerStack(*model, {}), Contains("no number of layers"));
  const auto two = source("m", {{"a.0.w", at::ones({1})}, {"b.0.w", at::ones({1})}});
  CHECK_THROWS_WITH(LayerStack(*two, {{"num_hidden_layers", 1}}), Contains("one stack"));
}

TEST_CASE("an explanation of slices names what each tensor is made of", "[merge]") {
  const LayersFolder folder;
  folder.model("a", 10, 3);
  folder.model("b", 20, 3);
  const MergeRequest request = folder.read(kStack);

  const Explanation explanation = explain(request, folder.path() / "out");

  CHECK(explanation.tensors.size() == 13);
  CHECK(explanation.config_changes ==
        std::vector<std::string>{"config.json: num_hidden_layers 3 -> 5"});
  CHECK_THAT(explanation_text(explanation),
             Contains("b model.layers.1.mlp.weight") && Contains("num_hidden_layers 3 -> 5"));
  const Json json = explanation_json(explanation);
  for (const Json& tensor : json["tensors"])
    if (tensor["name"] == mlp(3))
      CHECK(tensor["parts"] ==
            Json::array({{{"model", (folder.path() / "b").string()}, {"tensor", mlp(2)}}}));
}

TEST_CASE("threads and memory leave stacked bytes alone", "[merge]") {
  const LayersFolder folder;
  folder.model("a", 10, 3);
  folder.model("b", 20, 3);
  const std::string expected = folder.merge(kStack)->content_hash();
  for (const int threads : {1, 2, 4}) {
    const Threads several(threads);
    CHECK(folder.merge(kStack)->content_hash() == expected);
  }
  CHECK(folder.merge(kStack, {.memory_bytes = 64 << 20, .shard_bytes = 1})->content_hash() ==
        expected);
}
