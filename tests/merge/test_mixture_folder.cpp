// Mixtures of experts on disk.
#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/explain.h"
#include "harness/merge/merge_folder.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// A base and two experts in bfloat16.
class MixtureFolder {
 public:
  MixtureFolder() {
    for (const uint64_t key : {0, 1, 2}) {
      StateDict weights = small_model(key);
      for (auto& [unused, tensor] : weights) tensor = tensor.to(at::kBFloat16);
      Json config = small_llama_config();
      config["torch_dtype"] = "bfloat16";
      write_checkpoint(path(key == 0 ? "base" : fmt::format("expert{}", key)), weights,
                       {config, Json(), "", {}}, false);
    }
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  MergeRequest request(const Json& parameters) const {
    write_file(path("merge.json"), Json{{"method", "moe"},
                                        {"parameters", parameters},
                                        {"base", "base"},
                                        {"experts", {"expert1", "expert2"}}}
                                       .dump());
    return MergeRequest::read(path("merge.json"));
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("a mixture is written, explained and opened", "[merge][moe]") {
  const MixtureFolder folder;
  MergeRequest request = folder.request({{"base_expert", true}, {"shared", "task_arithmetic"}});
  const std::string text = explanation_text(explain(request, folder.path("out")));
  CHECK_THAT(text, Contains("model.layers.1.block_sparse_moe.experts.2.w1.weight"));
  CHECK_THAT(text, Contains("config.json: num_local_experts nothing -> 3"));

  const MergeReport report = merge_to_folder(request, {}, folder.path("out"));
  const auto made = Checkpoint::open(folder.path("out"));
  CHECK(made->config().at("model_type") == "mixtral");
  CHECK(made->config().at("architectures") == Json{"MixtralForCausalLM"});
  for (const TensorInfo& info : made->tensors()) CHECK(info.dtype == at::kBFloat16);
  CHECK(report.expert_hashes.size() == 2);
  const OpenModel model = open_model(folder.path("out"), {});
  const at::Tensor ids = at::tensor({3, 1, 4}, at::kLong).view({1, 3});
  CHECK(model.architecture->logits(model.weights, ids).isfinite().all().item<bool>());
}

TEST_CASE("what no model has is explained as zeros", "[merge][moe]") {
  const MixtureFolder folder;
  const MergeRequest request = folder.request(
      {{"form", "qwen2_moe"}, {"shared_expert", "last"}, {"shared_gate", "zero"}, {"top_k", 1}});
  const Explanation explanation = explain(request, folder.path("out"));
  const auto role = [&](const std::string& name) {
    for (const TensorExplanation& tensor : explanation.tensors)
      if (tensor.name == name) return fmt::format("{}, from {}", tensor.role, tensor.from.size());
    return std::string("missing");
  };
  CHECK(role("model.layers.0.self_attn.q_proj.bias") == "zeros, from 0");
  CHECK(role("model.layers.1.mlp.shared_expert_gate.weight") == "zeros, from 0");
  CHECK(role("model.layers.0.self_attn.q_proj.weight") == "merged, from 1");
  CHECK(role("model.layers.0.mlp.gate.weight") == "made, from 1");  // of the embedding's dtype
  CHECK_THAT(explanation_text(explanation), Contains("zeros"));
  for (const Json& tensor : explanation_json(explanation).at("tensors"))
    CHECK(tensor.contains("to"));
}

TEST_CASE("the same mixture has the same bytes, whatever the memory", "[merge][moe]") {
  const MixtureFolder folder;
  std::string first;
  for (const int64_t mebibytes : {64, 1024}) {
    MergeRequest request = folder.request(Json::object());
    merge_to_folder(request, {.memory_bytes = mebibytes << 20, .replace = true},
                    folder.path("out"));
    const std::string hash = Checkpoint::open(folder.path("out"))->content_hash();
    if (first.empty()) first = hash;
    CHECK(hash == first);
  }
}

TEST_CASE("a mixture's router needs what it says, in a merge's file", "[merge][moe]") {
  const MixtureFolder folder;
  CHECK_THROWS_WITH(folder.request({{"router", "hidden_avg"}}), Contains("needs calibration"));
  CHECK_THROWS_AS(folder.request({{"top_k", 3}}), SkipCell);
  CHECK_THROWS_WITH(folder.request({{"top_k", 3}}),
                    "merge.json: moe sends a token to 3 experts ('top_k'), and there are 2");
}

TEST_CASE("what data cannot help is said before any is read", "[merge][moe]") {
  const TemporaryFolder folder;
  for (const uint64_t key : {1, 2})
    write_checkpoint(folder.path() / fmt::format("mixture{}", key),
                     small_model(key, small_mixtral_config()),
                     {small_mixtral_config(), Json(), "", {}}, false);
  const auto read = [&](const Json& request) {
    write_file(folder.path() / "merge.json", request.dump());
    return MergeRequest::read(folder.path() / "merge.json");
  };
  CHECK_THROWS_WITH(read({{"method", "merge_experts"}, {"experts", {"mixture1", "mixture2"}}}),
                    "merge.json: needs exactly 1 expert, and 2 are given");
  CHECK_THROWS_WITH(read({{"method", "merge_experts"}, {"experts", {"mixture1"}}}),
                    Contains("give \"calibration\""));
  CHECK_THROWS_WITH(
      read({{"method", "merge_experts"},
            {"parameters", {{"allocation", "uniform"}, {"experts", 2}, {"capacity", 2}}},
            {"experts", {"mixture1"}},
            {"calibration", Json::object()}}),
      "merge.json: 2 groups of 2 experts at most ('capacity') do not hold 6");
}
