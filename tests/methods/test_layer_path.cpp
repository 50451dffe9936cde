// A path through the layers of all experts.
#include "harness/core/error.h"
#include "harness/model/architecture.h"
#include "tests/catch.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

struct PathResult {
  StateDict tensors;
  Json config;
};
PathResult follow_path(const Json& parameters, const MergeInputs& inputs) {
  MergeReport report;
  PathResult result{merge("layer_path", parameters, inputs, &report), {}};
  result.config = *report.config;
  return result;
}

at::Tensor path_logits(const StateDict& weights, const Json& config) {
  const at::Tensor ids = at::tensor({1, 5, 2}, at::kLong).unsqueeze(0);
  const std::shared_ptr<const Architecture> any = make_architecture(JsonReader(config, "test"));
  return any->logits(load_weights(*any, *source("model", weights), at::kCPU), ids)[0][-1];
}

}  // namespace

TEST_CASE("a path takes layers from all experts in order", "[methods]") {
  const MergeInputs inputs = small_models(2);
  const StateDict one = small_model(1), two = small_model(2);
  // Two passes over two layers of two experts: layer 1 of one, 0 of two; 0 of one, 1 of two.
  const auto [merged, config] = follow_path({{"visits", {-1, 0, .5, -.5, 1, -1, -1, 1}}}, inputs);

  CHECK(config["num_hidden_layers"] == 4);
  const std::string weight = "mlp.up_proj.weight";
  CHECK(at::equal(merged.at("model.layers.0." + weight), one.at("model.layers.1." + weight)));
  CHECK(at::equal(merged.at("model.layers.1." + weight), two.at("model.layers.0." + weight)));
  CHECK(at::equal(merged.at("model.layers.2." + weight), one.at("model.layers.0." + weight)));
  CHECK(at::equal(merged.at("model.layers.3." + weight), two.at("model.layers.1." + weight)));
  CHECK(at::equal(merged.at("model.embed_tokens.weight"), one.at("model.embed_tokens.weight")));
  CHECK(at::equal(merged.at("model.norm.weight"), one.at("model.norm.weight")));
  CHECK(path_logits(merged, config).isfinite().all().item<bool>());
}

TEST_CASE("without a path the first expert stays", "[methods]") {
  const auto [merged, config] = follow_path(Json::object(), small_models(2));
  CHECK(same_bytes(merged, small_model(1)));
  CHECK(config == small_llama_config());
}

TEST_CASE("a scale multiplies the residual stream", "[methods]") {
  Json config = small_llama_config();
  config["rms_norm_eps"] = 1e-12;  // a scale is exact up to this
  const MergeInputs inputs = small_models(1, config);
  StateDict expected = small_model(1, config);

  // What enters the first layer are the embeddings.
  expected["model.embed_tokens.weight"] *= 4;
  const StateDict first = follow_path({{"visits", {0, 0}}, {"scales", {4, 1}}}, inputs).tensors;
  const at::Tensor wanted = path_logits(expected, config);
  const double range = (wanted.max() - wanted.min()).item<double>();
  CHECK(distance(path_logits(first, config), wanted) < 1e-5 * range);
  CHECK(distance(path_logits(small_model(1, config), config), wanted) > 1e-3 * range);

  // What enters the second: the first layer's outputs, too.
  expected = small_model(1, config);
  for (const char* name : {"model.embed_tokens.weight", "model.layers.0.self_attn.o_proj.weight",
                           "model.layers.0.mlp.down_proj.weight"})
    expected[name] *= .25;
  const StateDict second = follow_path({{"visits", {0, 0}}, {"scales", {1, .25}}}, inputs).tensors;
  CHECK(distance(path_logits(second, config), path_logits(expected, config)) < 1e-5 * range);
}

TEST_CASE("paths that are none are refused", "[methods]") {
  const MergeInputs inputs = small_models(2);
  CHECK_THROWS_WITH(follow_path({{"visits", {0, 0, 0}}}, inputs),
                    Contains("'visits' has 3 entries: expected a multiple of 4"));
  CHECK_THROWS_AS(follow_path({{"visits", {-1, -1, -1, -1}}}, inputs), SkipCell);
  CHECK_THROWS_WITH(
      make_method("layer_path", JsonReader({{"visits", {0, 0}}, {"scales", {1}}}, "test")),
      Contains("'scales' has 1 entries"));
}
