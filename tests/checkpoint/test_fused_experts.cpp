// Experts as transformers 5 holds them in memory, and as mergekit-moe writes them.
#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

/// Two experts of two inner units and a width of three: consecutive numbers.
StateDict fused_tensors() {
  const std::string mlp = "model.layers.0.mlp.";
  return {{mlp + "experts.gate_up_proj", at::arange(24, at::kFloat).view({2, 4, 3})},
          {mlp + "experts.down_proj", at::arange(12, at::kFloat).view({2, 3, 2})},
          {mlp + "gate.weight", at::zeros({2, 3})},
          {"model.norm.weight", at::ones({3})}};
}

std::shared_ptr<const Checkpoint> opened(const fs::path& folder, const std::string& type,
                                         const StateDict& tensors) {
  write_safetensors(folder / "model.safetensors", tensors);
  write_file(folder / "config.json", Json{{"model_type", type}}.dump());
  return Checkpoint::open(folder);
}

}  // namespace

TEST_CASE("fused experts are read one by one, under published names", "[checkpoint][moe]") {
  const TemporaryFolder folder;
  const auto qwen = opened(folder.path(), "qwen3_moe", fused_tensors());
  const std::string mlp = "model.layers.0.mlp.";
  CHECK(qwen->tensors().size() == 8);
  CHECK(at::equal(qwen->read(mlp + "experts.1.gate_proj.weight"),
                  at::arange(12, 18, at::kFloat).view({2, 3})));
  CHECK(at::equal(qwen->read(mlp + "experts.0.up_proj.weight"),
                  at::arange(6, 12, at::kFloat).view({2, 3})));
  CHECK(at::equal(qwen->read(mlp + "experts.1.down_proj.weight"),
                  at::arange(6, 12, at::kFloat).view({3, 2})));
  CHECK(at::equal(qwen->read_part(mlp + "experts.1.up_proj.weight", 2, 3),
                  at::arange(20, 23, at::kFloat)));
  CHECK(qwen->find(mlp + "gate.weight"));

  const TemporaryFolder other;
  const auto mixtral = opened(other.path(), "mixtral", fused_tensors());
  const std::string sparse = "model.layers.0.block_sparse_moe.";
  CHECK(mixtral->find(sparse + "gate.weight"));
  CHECK(at::equal(mixtral->read(sparse + "experts.1.w1.weight"),
                  at::arange(12, 18, at::kFloat).view({2, 3})));
  CHECK(at::equal(mixtral->read(sparse + "experts.0.w3.weight"),
                  at::arange(6, 12, at::kFloat).view({2, 3})));
  CHECK(at::equal(mixtral->read(sparse + "experts.0.w2.weight"),
                  at::arange(6, at::kFloat).view({3, 2})));
}

TEST_CASE("fused experts of other families and other shapes are no experts", "[checkpoint][moe]") {
  const TemporaryFolder folder;
  CHECK(opened(folder.path(), "llama", fused_tensors())->tensors().size() == 4);
  StateDict odd = fused_tensors();
  odd["model.layers.0.mlp.experts.gate_up_proj"] = at::zeros({2, 3, 3});
  CHECK_THROWS_WITH(opened(folder.path(), "olmoe", odd),
                    Contains("gate_up_proj") && Contains("[2, 3, 3]") && Contains("2 * rows"));
}
