#include "tests/conformance/networks.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("an expert that only padding is sent to has no Gram matrix", "[calibration][experts]") {
  Json config = example_config("mixtral");
  config["vocab_size"] = 32;
  config["num_experts_per_tok"] = 1;
  const auto mixtral = language(config);
  StateDict weights = mixtral->initial_weights(1);
  // Routers of the first block read e1 at tokens and e0 at padding, whose id is 0.
  const std::string block = "model.layers.0.";
  weights[block + "self_attn.o_proj.weight"].zero_();
  at::Tensor& embedding = weights["model.embed_tokens.weight"].zero_();
  embedding.select(1, 1).fill_(1);
  embedding[0].zero_();
  embedding[0][0] = 1;
  at::Tensor& gate = weights[block + "block_sparse_moe.gate.weight"].zero_();
  gate[0][1] = 1;
  gate[2][0] = 1;

  const auto texts = decoders().data.front();  // of several lengths
  const CalibrationData& data = *texts;
  const auto statistic = make_statistic("input_gram", JsonReader(Json::object(), "a test"));
  const StatisticTensors grams = compute_statistic(*statistic, *mixtral, weights, data, 0);

  const auto name = [&](const char* part) {
    return block + "block_sparse_moe." + part + ".weight";
  };
  CHECK(data.batch(0, data.size()).mask.defined());
  CHECK(grams.rows.at(name("experts.0.w1")) == grams.rows.at(name("gate")));
  CHECK(grams.tensors.count(name("experts.1.w1")) == 0);
  CHECK(grams.tensors.count(name("experts.2.w1")) == 0);
}
