#include <fmt/format.h>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/explain.h"
#include "harness/merge/merge_folder.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/embedding_model.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Models of an embedding and three layers, every value of which is `value`, in a folder.
class MergekitFolder {
 public:
  void model(const std::string& name, float value, int64_t vocabulary = 4, Json config = {},
             at::ScalarType dtype = at::kFloat) const {
    StateDict tensors{{kEmbedding, at::full({vocabulary, 2}, value)}};
    for (int layer = 0; layer < 3; ++layer)
      tensors[fmt::format("model.layers.{}.mlp.weight", layer)] = at::full({2, 2}, value);
    for (auto& [unused, tensor] : tensors) tensor = tensor.to(dtype);
    config["num_hidden_layers"] = 3;
    config["vocab_size"] = vocabulary;
    CheckpointExtras extras;
    extras.config = config;
    write_checkpoint(path() / name, tensors, extras, /*replace=*/false);
  }
  MergeRequest read(const std::string& yaml, const MergeChoices& choices = {}) const {
    write_file(path() / "m.yaml", yaml);
    return MergeRequest::read(path() / "m.yaml", choices);
  }
  /// The first value of every tensor of the merged model.
  std::map<std::string, float> merge(const std::string& yaml,
                                     const MergeChoices& choices = {}) const {
    MergeRequest request = read(yaml, choices);
    merge_to_folder(request, {.replace = true}, path() / "out");
    const auto merged = Checkpoint::open(path() / "out");
    std::map<std::string, float> values;
    for (const TensorInfo& info : merged->tensors())
      values[info.name] = merged->read(info.name).to(at::kFloat).flatten()[0].item<float>();
    return values;
  }
  fs::path path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("a gradient and a filter of mergekit's YAML reach the tensors", "[mergekit]") {
  const MergekitFolder folder;
  folder.model("a", 0);
  folder.model("b", 1);

  const auto values = folder.merge(R"(
merge_method: slerp
base_model: a
models: [{model: b}]
parameters: {t: [{filter: mlp, value: [0, 0.25, 1]}, {value: 0.75}]}
)");

  CHECK(values.at("model.layers.0.mlp.weight") == 0);
  CHECK(values.at("model.layers.1.mlp.weight") > 0);
  CHECK(values.at("model.layers.2.mlp.weight") == 1);
  CHECK(values.at(kEmbedding) > values.at("model.layers.1.mlp.weight"));
}

TEST_CASE("mergekit's task arithmetic, by hand", "[mergekit]") {
  const MergekitFolder folder;
  folder.model("base", 1);
  folder.model("a", 2);
  folder.model("b", 4);
  const std::string start =
      "merge_method: task_arithmetic\nbase_model: base\nmodels:\n"
      "- {model: a, parameters: {weight: 0.5}}\n"
      "- {model: b, parameters: {weight: 1.5}}\n";

  CHECK(folder.merge(start).at(kEmbedding) == 6);  // 1 + 0.5 * 1 + 1.5 * 3
  CHECK(folder.merge(start + "parameters: {normalize: true, lambda: 2}\n").at(kEmbedding) == 6);
  CHECK(folder.merge(start + "parameters: {lambda: 2}\n").at(kEmbedding) == 11);
}

TEST_CASE("a tensor's weights that cannot be normalized are refused with the YAML", "[mergekit]") {
  const MergekitFolder folder;
  folder.model("a", 0);
  folder.model("b", 1);
  const std::string yaml = R"(
merge_method: linear
models:
  - {model: a, parameters: {weight: 1}}
  - {model: b, parameters: {weight: [{filter: layers.1, value: -1}, {value: 1}]}}
)";

  CHECK_THROWS_WITH(folder.read(yaml), Contains("'model.layers.1.mlp.weight'") &&
                                           Contains("'weights' sums to 0") &&
                                           Contains("'normalize' false"));
  CHECK(folder.merge(yaml + "parameters: {normalize: false}\n").at("model.layers.1.mlp.weight") ==
        -1);
}

TEST_CASE("dtype and out_dtype are what mergekit makes of them", "[mergekit]") {
  const MergekitFolder folder;
  folder.model("a", 1, 4, {{"torch_dtype", "float16"}}, at::kHalf);
  const auto dtype_of = [&](const std::string& more) {
    folder.merge("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n" + more);
    return Checkpoint::open(folder.path() / "out")->find(kEmbedding)->dtype;
  };

  CHECK(dtype_of("") == at::kHalf);
  CHECK(dtype_of("dtype: float32\n") == at::kFloat);
  CHECK(dtype_of("dtype: float32\nout_dtype: bfloat16\n") == at::kBFloat16);
  CHECK(Checkpoint::open(folder.path() / "out")->config()["torch_dtype"] == "bfloat16");
  CHECK_THAT(read_file(folder.path() / "out/README.md"), Contains("out_dtype: bfloat16"));
}

TEST_CASE("models that are not there are named with what would help", "[mergekit]") {
  const MergekitFolder folder;
  const auto error = [&](const std::string& model) -> std::string {
    try {
      folder.read("merge_method: passthrough\nmodels:\n- model: " + model + "\n");
    } catch (const UserError& e) {
      return e.what();
    }
    return "no UserError";
  };

  CHECK_THAT(error("org/name"), Contains("m.yaml:3: ") && Contains("huggingface-cli download"));
  CHECK_THAT(error("org/name@v1"), Contains("download org/name --revision v1"));
  folder.model("a", 1);
  CHECK_THAT(error("a+lora"), Contains("no file or folder 'lora'"));
}

TEST_CASE("the vocabulary's size follows the policy into the config", "[mergekit]") {
  const MergekitFolder folder;
  folder.model("a", 1);
  folder.model("b", 3, 6);
  const std::string yaml =
      "merge_method: linear\nmodels: [{model: a}, {model: b}]\n"
      "parameters: {weight: 1}\n";

  MergeRequest refused = folder.read(yaml);
  CHECK(refused.problems.size() == 2);  // the policy, and the shape
  CHECK_THROWS_WITH(merge_to_folder(refused, {}, folder.path() / "out"),
                    Contains("vocab_policy") && Contains("2 problems"));
  CHECK_FALSE(fs::exists(folder.path() / "out"));

  CHECK(folder.merge(yaml, {.vocab_policy = VocabPolicy::kMeanFill}).at(kEmbedding) == 2);
  CHECK(Checkpoint::open(folder.path() / "out")->config()["vocab_size"] == 6);
}

TEST_CASE("an explanation tells what happens to every tensor", "[mergekit]") {
  const MergekitFolder folder;
  folder.model("base", 1);
  folder.model("a", 2, 6);

  const MergeRequest request = folder.read(
      "merge_method: ties\nbase_model: base\nmodels: [{model: a}]\nout_dtype: bfloat16\n"
      "parameters: {weight: [0.5, 1], int8_mask: true}\n",
      {.vocab_policy = VocabPolicy::kTruncateToBase});
  const Explanation explanation = explain(request, folder.path() / "out");

  CHECK(explanation.tensors.size() == 4);
  CHECK(explanation.values == 8 + 3 * 4);
  CHECK(explanation.bytes_read == 2 * 4 * 20);
  CHECK(explanation.bytes_written == 2 * 20);
  const std::string text = explanation_text(explanation);
  CHECK_THAT(text, Contains("cut from 6 to 4 rows") && Contains("weights [0.75]") &&
                       Contains("'int8_mask' has no effect"));
  const Json json = explanation_json(explanation);
  CHECK(json["tensors"][0]["to"] == "bfloat16");
  CHECK(json["groups"].size() == 3);  // the embedding lies at the first layer's depth
}
