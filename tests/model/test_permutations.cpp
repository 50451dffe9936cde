#include "harness/model/permutations.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "harness/model/forward.h"
#include "tests/catch.h"
#include "tests/model/observed.h"

using namespace assay;

namespace {

std::vector<PermutationGroup> groups_of(const Json& config) {
  return permutations_of(*make_architecture(JsonReader(config, "config.json: $")));
}

/// Random weights of an architecture, float64, none of them special: norms' scales, too.
StateDict random_weights(const Architecture& architecture, uint64_t seed) {
  StateDict weights;
  at::manual_seed(seed);
  for (const TensorInfo& info : architecture.tensors()) {
    at::Tensor values = at::randn(info.shape, at::kDouble);
    if (info.shape.size() > 1) values *= 0.3;
    if (info.name.ends_with("running_var")) values = values.abs() + 0.5;
    weights[info.name] = values;
  }
  return weights;
}

at::Tensor permuted(const at::Tensor& tensor, const UnitAxis& axis, const at::Tensor& order) {
  std::vector<int64_t> split(tensor.sizes().begin(), tensor.sizes().end());
  const auto place = split.begin() + axis.axis;
  *place = axis.inner;
  split.insert(split.begin() + axis.axis, {axis.outer, order.numel()});
  return tensor.reshape(split).index_select(axis.axis + 1, order).reshape(tensor.sizes());
}

bool has_axis(const PermutationGroup& group, const std::string& tensor, int64_t axis) {
  return std::any_of(group.axes.begin(), group.axes.end(),
                     [&](const UnitAxis& one) { return one.tensor == tensor && one.axis == axis; });
}

const PermutationGroup* group_with(const std::vector<PermutationGroup>& groups,
                                   const std::string& tensor, int64_t axis, int64_t inner = 1) {
  for (const PermutationGroup& group : groups)
    for (const UnitAxis& one : group.axes)
      if (one.tensor == tensor && one.axis == axis && one.inner == inner) return &group;
  return nullptr;
}

}  // namespace

TEST_CASE("a small network's channels and units can be reordered", "[model][permutations]") {
  const auto groups =
      groups_of({{"model_type", "small_cnn"}, {"channels", 4}, {"hidden", 6}, {"classes", 3}});

  REQUIRE(groups.size() == 3);
  CHECK(groups[0].units == 4);
  CHECK(groups[0].axes.size() == 3);  // conv1's outputs, its bias, conv2's inputs
  CHECK(has_axis(groups[0], "conv2.weight", 1));
  CHECK(groups[1].units == 8);
  const auto& flat = groups[1].axes.back();
  CHECK(flat.tensor == "hidden.weight");
  CHECK(flat.axis == 1);
  CHECK(flat.outer == 1);
  CHECK(flat.inner == 49);  // positions of a channel are neighbours
  CHECK(groups[2].units == 6);
  for (const PermutationGroup& group : groups) CHECK_FALSE(group.stream);
}

TEST_CASE("a decoder's heads, feed-forward and residual stream can be reordered",
          "[model][permutations]") {
  Json config = example_config("llama");
  config.update({{"hidden_size", 24},
                 {"intermediate_size", 10},
                 {"num_attention_heads", 6},
                 {"num_key_value_heads", 3},
                 {"head_dim", 4},
                 {"num_hidden_layers", 2},
                 {"vocab_size", 32}});
  const auto groups = groups_of(config);
  const std::string block = "model.layers.1.";

  const PermutationGroup* inner = group_with(groups, block + "mlp.down_proj.weight", 1);
  REQUIRE(inner);
  CHECK(inner->units == 10);
  CHECK_FALSE(inner->stream);
  CHECK(inner->axes.size() == 3);  // the rows of gate and up, the columns of down
  const PermutationGroup* heads = group_with(groups, block + "self_attn.v_proj.weight", 0, 4);
  REQUIRE(heads);
  CHECK(heads->units == 3);
  CHECK(group_with(groups, block + "self_attn.q_proj.weight", 0, 8) == heads);
  CHECK(group_with(groups, block + "self_attn.o_proj.weight", 1, 8) == heads);
  // Rotary embeddings give the values of queries and keys an order, not those of values.
  CHECK(group_with(groups, block + "self_attn.q_proj.weight", 0, 1) == nullptr);
  CHECK(group_with(groups, block + "self_attn.v_proj.weight", 0, 1) != nullptr);
  const PermutationGroup* stream = group_with(groups, "model.embed_tokens.weight", 1);
  REQUIRE(stream);
  CHECK(stream->stream);
  CHECK(stream->units == 24);
  CHECK(has_axis(*stream, block + "mlp.down_proj.weight", 0));
  CHECK(has_axis(*stream, "model.norm.weight", 0));
}

TEST_CASE("residual networks have as many groups as published", "[model][permutations]") {
  const auto count = [](const Json& config) { return groups_of(config).size(); };

  CHECK(count({{"model_type", "torchvision_resnet"}, {"depth", 50}}) == 37);
  CHECK(count({{"model_type", "torchvision_resnet"}, {"depth", 101}}) == 71);
  CHECK(count({{"model_type", "torchvision_resnet"}, {"depth", 18}}) == 12);
  CHECK(count({{"model_type", "cifar_resnet"}, {"depth", 20}}) == 12);
}

TEST_CASE("no architecture notices that its units are reordered", "[model][permutations]") {
  for (const std::string& name : architectures().names()) {
    if (name == "assay_routed") continue;  // it reads prompts, see test_routed.cpp
    INFO(name);
    const auto model = example_architecture(name);
    const StateDict weights = random_weights(*model, 1);
    const ModelBatch batch = small_batch(*model);
    const ModelBatch doubles{
        .inputs = batch.inputs.is_floating_point() ? batch.inputs.to(at::kDouble) : batch.inputs,
        .mask = batch.mask,
        .decoder_ids = batch.decoder_ids,
        .decoder_mask = batch.decoder_mask,
        .scored = batch.scored};
    const at::Tensor scores = row_logits(*model, weights, doubles);
    REQUIRE(at::isfinite(scores).all().item<bool>());
    const auto groups = permutations_of(*model);
    CHECK(!groups.empty());
    StateDict all = weights;
    for (size_t i = 0; i < groups.size(); ++i) {
      const at::Tensor order = at::randperm(groups[i].units, at::kLong);
      StateDict one = weights;
      for (const UnitAxis& axis : groups[i].axes) {
        one.at(axis.tensor) = permuted(one.at(axis.tensor), axis, order);
        all.at(axis.tensor) = permuted(all.at(axis.tensor), axis, order);
      }
      INFO(groups[i].axes.front().tensor << " " << groups[i].axes.front().axis << " of "
                                         << groups[i].units);
      CHECK(at::allclose(row_logits(*model, one, doubles), scores, 1e-10, 1e-10));
    }
    CHECK(at::allclose(row_logits(*model, all, doubles), scores, 1e-10, 1e-10));
  }
}
