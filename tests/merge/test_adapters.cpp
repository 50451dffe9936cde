// Adapters as experts, and models of the Hugging Face cache.
#include <ATen/ATen.h>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/merge_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/environment_variable.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kWeight = "model.layers.0.mlp.weight";

/// A base of one weight, and adapters x and y of ranks 1 and 2 for it.
class AdapterFolder {
 public:
  AdapterFolder() {
    base("base", {{kWeight, at::zeros({2, 2})}, {"model.norm.weight", at::ones({2})}});
    adapter("x", at::tensor({1.f, 2.f}).view({1, 2}), at::tensor({1.f, 0.f}).view({2, 1}), 4);
    adapter("y", at::eye(2), at::eye(2), 6);
  }
  void base(const std::string& name, const StateDict& tensors) const {
    CheckpointExtras extras;
    extras.config = {{"model_type", "none"}};
    write_checkpoint(path() / name, tensors, extras, /*replace=*/false);
  }
  void adapter(const std::string& name, const at::Tensor& a, const at::Tensor& b, int alpha) const {
    fs::create_directories(path() / name);
    write_file(path() / name / "adapter_config.json", Json{{"peft_type", "LORA"},
                                                           {"r", a.size(0)},
                                                           {"lora_alpha", alpha},
                                                           {"base_model_name_or_path", "base"}}
                                                          .dump());
    const std::string start = "base_model.model.model.layers.0.mlp.lora_";
    write_safetensors(path() / name / "adapter_model.safetensors",
                      {{start + "A.weight", a}, {start + "B.weight", b}});
  }
  MergeRequest read(const std::string& text) const {
    const std::string name = text.front() == '{' ? "m.json" : "m.yaml";
    write_file(path() / name, text);
    return MergeRequest::read(path() / name);
  }
  std::vector<float> merge(const std::string& text) const {
    MergeRequest request = read(text);
    merge_to_folder(request, {.replace = true}, path() / "out");
    const at::Tensor flat = Checkpoint::open(path() / "out")->read(kWeight).flatten();
    return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
  }
  std::string error(const std::string& text) const {
    try {
      read(text);
    } catch (const UserError& e) {
      return e.what();
    }
    return "no UserError";
  }
  fs::path path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace

// x adds 4 [[1, 2], [0, 0]], y adds 3 [[1, 0], [0, 1]].
TEST_CASE("adapters are merged as their effective products", "[merge]") {
  const AdapterFolder folder;
  const std::vector<float> mean{3.5, 4, 0, 1.5}, sum{7, 8, 0, 3};

  CHECK(folder.merge("merge_method: linear\nmodels: [{model: base+x}, {model: base+y}]\n"
                     "parameters: {weight: 1}\n") == mean);
  CHECK(folder.merge("merge_method: task_arithmetic\nbase_model: base\n"
                     "models: [{model: x}, {model: base+y}]\nparameters: {weight: 1}\n") == sum);
  CHECK(folder.merge(R"({"method": "task_arithmetic", "parameters": {"scale": 1},
                         "base": "base", "experts": ["x", "y"]})") == sum);
  const Json origin = Checkpoint::open(folder.path() / "out")->origin();
  CHECK(origin["merge"]["inputs"]["experts"][0]["path"] ==
        (folder.path() / "base").string() + "+" + (folder.path() / "x").string());
}

TEST_CASE("an adapted model is not replaced by a merge of it", "[merge]") {
  const AdapterFolder folder;
  folder.base("merged", {{kWeight, at::ones({2, 2})}, {"model.norm.weight", at::ones({2})}});
  folder.adapter("merged/lora", at::eye(2), at::eye(2), 2);
  const bool yaml = GENERATE(false, true);
  for (const char* adapter : {"x", "merged/lora"}) {
    CAPTURE(yaml, adapter);
    const std::string model = fmt::format("merged+{}", adapter);
    MergeRequest request = folder.read(
        yaml ? fmt::format("merge_method: linear\nmodels: [{{model: base}}, {{model: {}}}]\n"
                           "parameters: {{weight: 1}}\n",
                           model)
             : Json{{"method", "average"}, {"experts", {"base", model}}}.dump());

    CHECK_THROWS_WITH(merge_to_folder(request, {.replace = true}, folder.path() / "merged"),
                      Contains("not replaced") && Contains("which is read here"));
    CHECK_THROWS_WITH(check_merge_folder(request, {.replace = true}, folder.path() / "merged"),
                      Contains("which is read here"));
    CHECK_NOTHROW(check_merge_folder(request, {}, folder.path() / "out"));
    CHECK(at::equal(Checkpoint::open(folder.path() / "merged")->read(kWeight), at::ones({2, 2})));
  }
}

TEST_CASE("an adapter is not replaced by a merge of it", "[merge]") {
  const AdapterFolder folder;
  folder.base("tuned", {{kWeight, at::ones({2, 2})}});  // as one of Assay's that holds an adapter
  folder.adapter("tuned", at::eye(2), at::eye(2), 2);
  fs::remove(folder.path() / "tuned/model.safetensors");
  write_file(folder.path() / "tuned/assay.json",
             R"({"assay": 1, "files": ["config.json", "adapter_config.json",
                                       "adapter_model.safetensors"]})");
  MergeRequest request = folder.read(R"({"method": "average", "experts": ["base", "base+tuned"]})");

  CHECK_THROWS_WITH(merge_to_folder(request, {.replace = true}, folder.path() / "tuned"),
                    Contains("which is read here"));
  CHECK(fs::exists(folder.path() / "tuned/adapter_model.safetensors"));
}

TEST_CASE("parts of an adapted tensor are those of the whole", "[merge]") {
  const AdapterFolder folder;
  folder.base("large", {{kWeight, noise({1500, 1100}, 1).to(at::kBFloat16)}});
  folder.adapter("z", noise({3, 1100}, 2), noise({1500, 3}, 3), 3);
  const auto adapted = Checkpoint::open(ModelPath(folder.path() / "large", folder.path() / "z"));
  const at::Tensor whole = adapted->read(kWeight);

  MergeRequest request = folder.read("merge_method: passthrough\nmodels: [{model: large+z}]\n");
  merge_to_folder(request, {.memory_bytes = int64_t{64} << 20}, folder.path() / "out");

  const auto merged = Checkpoint::open(folder.path() / "out");
  CHECK(at::equal(merged->read(kWeight), whole));
  CHECK(merged->content_hash() == adapted->content_hash());
  const at::Tensor product = noise({1500, 3}, 3).mm(noise({3, 1100}, 2));
  CHECK(at::allclose(whole.to(at::kFloat), noise({1500, 1100}, 1).to(at::kBFloat16) + product, 1e-2,
                     1e-2));
}

TEST_CASE("an adapter without a base is refused with what to write", "[merge]") {
  const AdapterFolder folder;
  CHECK_THAT(folder.error("merge_method: linear\nmodels:\n- model: x\nparameters: {weight: 1}\n"),
             Contains("m.yaml:3: ") && Contains("LoRA adapter") && Contains("BASE+x"));
  CHECK_THAT(folder.error(R"({"method": "average", "experts": ["x", "y"]})"),
             Contains("LoRA adapter"));
}

TEST_CASE("an adapter of another base is merged and noted", "[merge]") {
  const AdapterFolder folder;
  folder.base("copy", {{kWeight, at::zeros({2, 2})}});
  const MergeRequest request =
      folder.read(R"({"method": "task_arithmetic", "base": "copy", "experts": ["x", "y"]})");
  REQUIRE(request.notes.size() == 2);
  CHECK_THAT(request.notes[0], Contains("names the base 'base'"));
}

TEST_CASE("what a name of the hub's cache was read from is noted and recorded", "[merge]") {
  const AdapterFolder folder;
  const EnvironmentVariable cache("HF_HUB_CACHE", folder.path() / "hub");
  const std::string snapshot = (folder.path() / "hub/models--org--m/snapshots/abc").string();
  fs::create_directories(fs::path(snapshot).parent_path());
  fs::rename(folder.path() / "base", snapshot);
  write_file(folder.path() / "hub/models--org--m/refs/main", "abc");

  MergeRequest request = folder.read("merge_method: passthrough\nmodels: [{model: org/m}]\n");
  REQUIRE(request.notes.size() == 1);
  CHECK_THAT(request.notes[0], Contains("'org/m'") && Contains(snapshot));
  merge_to_folder(request, {}, folder.path() / "out");
  const Json merge = Checkpoint::open(folder.path() / "out")->origin()["merge"];
  CHECK(merge["models"]["org/m"] == snapshot);
  CHECK(merge["inputs"]["experts"][0]["path"] == snapshot);
}
