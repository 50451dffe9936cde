#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/model/encoder.h"
#include "harness/model/generate.h"
#include "harness/model/open.h"
#include "harness/model/sequence_to_sequence.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/language_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

template <typename Kind>
std::shared_ptr<const Kind> as(const OpenModel& model) {
  return std::dynamic_pointer_cast<const Kind>(model.architecture);
}

/// The largest difference from the reference's numbers, over their range.
double difference_over_range(const at::Tensor& found, const Json& wanted) {
  const at::Tensor reference = at::tensor(wanted.get<std::vector<float>>(), at::kFloat);
  return ((found - reference).abs().max() / (reference.max() - reference.min())).item<double>();
}

/// Texts of different lengths as a batch, the shorter ones padded with id 0.
EncoderBatch encoder_batch(const std::vector<TokenIds>& texts, Padding padding) {
  const TokenBatch batch = padded_batch(texts, padding);
  return {batch.ids, {}, batch.mask.defined() ? batch.mask.select(1, 0) : at::Tensor()};
}

}  // namespace

TEST_CASE("tiny encoder-decoders give the reference's logits and tokens", "[model][language]") {
  for (const std::string family : {"t5", "t5-1.1", "mt5", "switch", "switch-full"}) {
    INFO(family);
    const OpenModel model = open_model(kGoldens / family, {});
    const auto t5 = as<SequenceToSequenceArchitecture>(model);
    REQUIRE(t5);
    const Json expected = read_json(kGoldens / family / "expected.json");
    const auto texts = expected.at("prompts").get<std::vector<TokenIds>>();
    const auto ids = expected.at("decoder_ids").get<std::vector<int64_t>>();
    for (size_t i = 0; i < texts.size(); ++i) {
      const EncodedText text =
          t5->encode(model.weights, encoder_batch({texts[i]}, Padding::kLeft).ids, {});
      const at::Tensor hidden =
          t5->decode(model.weights, at::tensor(ids, at::kLong).unsqueeze(0), text, nullptr);
      CHECK(difference_over_range(t5->vocabulary_logits(model.weights, hidden[0][-1]),
                                  expected.at("last_logits")[i]) <= 1e-4);
    }
    // With a cache, experts count the decoder's tokens one by one; the reference has none.
    if (family != "switch-full") check_greedy(*t5, model.weights, texts, expected);
  }
}

TEST_CASE("tiny encoders give the reference's embeddings and classes", "[model][language]") {
  for (const std::string family : {"bert", "bert-bare", "roberta"}) {
    INFO(family);
    const OpenModel model = open_model(kGoldens / family, {});
    const auto bert = as<EncoderArchitecture>(model);
    REQUIRE(bert);
    const Json expected = read_json(kGoldens / family / "expected.json");
    const auto texts = expected.at("prompts").get<std::vector<TokenIds>>();
    for (const Padding padding : {Padding::kRight, Padding::kLeft}) {
      const EncoderBatch batch = encoder_batch(texts, padding);
      const at::Tensor means = bert->embed(model.weights, batch);
      for (size_t i = 0; i < texts.size(); ++i)
        CHECK(difference_over_range(means[static_cast<int64_t>(i)], expected.at("embeddings")[i]) <=
              1e-4);
      if (!expected.contains("classes")) continue;
      EncoderBatch pair = encoder_batch({texts[0]}, padding);
      pair.types = at::tensor({0, 0, 0, 1, 1, 1}, at::kLong).unsqueeze(0);
      CHECK(difference_over_range(bert->classify(model.weights, pair)[0],
                                  expected.at("pair_classes")) <= 1e-4);
      CHECK(bert->classes() == 3);
      const at::Tensor scores = bert->classify(model.weights, batch);
      for (size_t i = 0; i < texts.size(); ++i)
        CHECK(difference_over_range(scores[static_cast<int64_t>(i)], expected.at("classes")[i]) <=
              1e-4);
    }
  }
}

TEST_CASE("RoBERTa does not count its padding's id within a text", "[model][language]") {
  const OpenModel model = open_model(kGoldens / "roberta", {});
  const auto roberta = as<EncoderArchitecture>(model);
  const EncoderBatch text = encoder_batch({{5, 1, 7}}, Padding::kRight);  // positions 2, 1, 3
  const auto with_position = [&](int64_t position) {
    StateDict weights = model.weights;
    at::Tensor& table = weights.at("roberta.embeddings.position_embeddings.weight");
    table = table.clone();
    table[position] += at::arange(table.size(1));
    return roberta->embed(weights, text);
  };

  const at::Tensor found = roberta->embed(model.weights, text);

  CHECK(at::equal(found, with_position(4)));
  for (const int64_t position : {1, 2, 3})
    CHECK_FALSE(at::allclose(found, with_position(position)));
}

TEST_CASE("published encoders open under the names of their tensors", "[model][language]") {
  const TemporaryFolder folder;
  const auto reopened = [&](const std::string& family, const auto& change) {
    const auto checkpoint = Checkpoint::open(kGoldens / family);
    StateDict tensors;
    for (const TensorInfo& info : checkpoint->tensors()) {
      std::string name = info.name;
      change(name);
      tensors[name] = checkpoint->read(info.name);
    }
    if (family == "roberta") tensors["roberta.pooler.dense.weight"] = at::zeros({16, 16});
    write_file(folder.path() / "config.json", checkpoint->config().dump());
    write_safetensors(folder.path() / "model.safetensors", tensors);
    return open_model(folder.path(), {});
  };
  const auto check_same = [&](const std::string& family, const OpenModel& found) {
    const at::Tensor ids = at::tensor({2, 7, 9}, at::kLong).unsqueeze(0);
    const OpenModel model = open_model(kGoldens / family, {});
    CHECK(at::allclose(found.architecture->logits(found.weights, ids),
                       model.architecture->logits(model.weights, ids), 1e-4, 1e-5));
  };

  check_same("bert", reopened("bert", [](std::string& name) {
               for (const auto& [now, once] : {std::pair("LayerNorm.weight", "LayerNorm.gamma"),
                                               std::pair("LayerNorm.bias", "LayerNorm.beta")})
                 if (const size_t at = name.find(now); at != std::string::npos)
                   name.replace(at, std::string::npos, once);
             }));
  check_same("roberta", reopened("roberta", [](std::string&) {}));
}

TEST_CASE("a LoRA adapter of a classifier brings its head", "[model][language]") {
  const OpenModel model = open_model({kGoldens / "bert", kGoldens / "bert-lora"}, {});
  const auto texts =
      read_json(kGoldens / "bert/expected.json").at("prompts").get<std::vector<TokenIds>>();
  const Json expected = read_json(kGoldens / "bert-lora/expected.json");

  const at::Tensor scores = as<EncoderArchitecture>(model)->classify(
      model.weights, encoder_batch(texts, Padding::kRight));

  for (size_t i = 0; i < texts.size(); ++i)
    CHECK(difference_over_range(scores[static_cast<int64_t>(i)], expected.at("classes")[i]) <=
          1e-4);
}

TEST_CASE("an encoder refuses what it cannot do", "[model][language]") {
  const OpenModel bare = open_model(kGoldens / "bert-bare", {});
  const OpenModel roberta = open_model(kGoldens / "roberta", {});

  CHECK(as<EncoderArchitecture>(bare)->classes() == 0);
  CHECK_THROWS_WITH(bare.architecture->logits(bare.weights, at::zeros({1, 2}, at::kLong)),
                    Contains("no head for classification"));
  CHECK(as<EncoderArchitecture>(roberta)->max_tokens() == 14);  // 16 positions, padding has 1
  CHECK_THROWS_WITH(roberta.architecture->logits(roberta.weights, at::ones({1, 15}, at::kLong)),
                    "a text of 15 tokens is longer than the model's 14");
  CHECK_THROWS_WITH(open_language_model(kGoldens / "bert", {}),
                    Contains("bert is no decoder-only language model"));
}
