#include <cstdlib>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/lm/encoder_models.h"
#include "tests/model/language_models.h"
#include "tests/skip.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

/// Texts of 0 to 13 words, some of them equal.
std::vector<EncoderText> many_texts(bool pairs) {
  std::vector<EncoderText> texts;
  for (int i = 0; i < 30; ++i) {
    EncoderText text;
    for (int word = 0; word < (i * 5) % 14; ++word)
      text.first += fmt::format(" t{}", (i % 20 * 7 + word * 3) % 32);
    if (pairs) text.second = fmt::format("t{} t9", i % 6);
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

TEST_CASE("texts are classified as the reference does", "[lm]") {
  // Its inputs begin with t2, and the first is t2 t7 t9 t4 t3 t11.
  for (const std::string family : {"bert", "roberta"}) {
    INFO(family);
    EncoderModel model = tiny_encoder(family);
    const Json expected = read_json(kGoldens / family / "expected.json");
    const TokenIds ids = model.tokenizer->encode("t7 t9 t4", true);
    CHECK(ids == TokenIds{2, 7, 9, 4, 3});
    const at::Tensor found = EncoderModelPredictor(model).classify({{.first = "t7 t9 t4"}});
    const at::Tensor by_hand = model.architecture->classify(
        model.weights, {at::tensor({2, 7, 9, 4, 3}, at::kLong).unsqueeze(0)});
    CHECK(difference(found, by_hand) == 0);
    // The second of the reference's inputs is t2 t5 t3: one word between the special tokens.
    const at::Tensor wanted =
        at::tensor(expected.at("classes")[1].get<std::vector<float>>(), at::kFloat);
    CHECK(difference(EncoderModelPredictor(model).classify({{.first = "t5"}})[0], wanted) <= 1e-5);
  }
}

TEST_CASE("two texts are one input with their own token types", "[lm]") {
  const EncoderModel model = tiny_encoder("bert");
  const at::Tensor found =
      EncoderModelPredictor(model).classify({{.first = "t7 t9", .second = "t4"}});
  const at::Tensor ids = at::tensor({2, 7, 9, 3, 4, 3}, at::kLong).unsqueeze(0);
  const at::Tensor types = at::tensor({0, 0, 0, 0, 1, 1}, at::kLong).unsqueeze(0);
  CHECK(difference(found, model.architecture->classify(model.weights, {ids, types})) == 0);
}

TEST_CASE("an encoder's answers do not depend on batches", "[lm]") {
  for (const bool pairs : {false, true}) {
    const std::vector<EncoderText> texts = many_texts(pairs);
    const EncoderModel model = tiny_encoder("bert");
    const EncoderModelPredictor alone(model, 1), few(model, 40), all(model, 100000);
    const at::Tensor expected = alone.classify(texts);
    REQUIRE(expected.sizes() == at::IntArrayRef({30, 3}));
    CHECK(difference(few.classify(texts), expected) <= 1e-5);
    CHECK(difference(all.classify(texts), expected) <= 1e-5);
    // Rows are in the order of the texts.
    CHECK(difference(alone.classify({texts[17]})[0], expected[17]) == 0);
  }
  const std::vector<EncoderText> pairs = many_texts(true);
  const EncoderModel model = tiny_encoder("bert-bare");
  const at::Tensor alone = EncoderModelPredictor(model, 1).similarities(pairs);
  CHECK(difference(EncoderModelPredictor(model, 100000).similarities(pairs), alone) <= 1e-5);
}

TEST_CASE("equal texts are encoded once, long ones are truncated at the end", "[lm]") {
  const EncoderModelPredictor predictor(tiny_encoder("bert"));
  std::string words;
  for (int i = 0; i < 20; ++i) words += " t5";
  const int64_t before = counters::examples;

  const at::Tensor found =
      predictor.classify({{.first = words}, {.first = "t5"}, {.first = words}});

  CHECK(counters::examples - before == 2);
  CHECK(difference(found[0], found[2]) == 0);
  const Json report = predictor.report();
  CHECK(report["inputs"] == 2);
  CHECK(report["tokens"] == 16 + 3);
  CHECK(report["max_length"] == 16);
  CHECK(report["shortened_inputs"] == 1);
  CHECK(report["dropped_tokens"] == 6);
}

TEST_CASE("similarity is the cosine of mean-pooled hidden states", "[lm]") {
  const EncoderModel model = tiny_encoder("bert-bare");
  const at::Tensor found = EncoderModelPredictor(model).similarities(
      {{.first = "t5", .second = "t7 t9"}, {.first = "t7 t9", .second = "t7 t9"}});
  const auto embedding = [&](const std::vector<int64_t>& ids) {
    return model.architecture->embed(model.weights, {at::tensor(ids, at::kLong).unsqueeze(0)})[0];
  };
  const at::Tensor a = embedding({2, 5, 3}), b = embedding({2, 7, 9, 3});
  const double cosine = (a.dot(b) / a.norm() / b.norm()).item<double>();
  CHECK(found[0].item<double>() == Approx(cosine).epsilon(1e-5));
  CHECK(found[1].item<double>() == 1);
}

TEST_CASE("an ensemble of encoders gives the mean of its members' outputs", "[lm]") {
  const auto bert = std::make_shared<EncoderModelPredictor>(tiny_encoder("bert"));
  EncoderModel other = tiny_encoder("bert");
  for (auto& [name, tensor] : other.weights) tensor = tensor * 0.5;
  const auto half = std::make_shared<EncoderModelPredictor>(std::move(other));
  const EncoderEnsemble both({bert, half});
  const std::vector<EncoderText> texts = many_texts(true);

  CHECK(both.classes() == 3);
  CHECK(difference(both.classify(texts), (bert->classify(texts) + half->classify(texts)) / 2) <=
        1e-6);
  CHECK(difference(both.similarities(texts),
                   (bert->similarities(texts) + half->similarities(texts)) / 2) <= 1e-6);
  CHECK_THROWS_WITH(EncoderEnsemble({bert, std::make_shared<FakeEncoder>(2)}),
                    Contains("3 and 2 classes"));

  const EncoderEnsemble votes({bert, half}, EnsembleRule::kVotes);
  CHECK(difference(votes.classify(texts),
                   combined_logits(EnsembleRule::kVotes,
                                   {bert->classify(texts), half->classify(texts)})) <= 1e-6);
  CHECK_THROWS_WITH(votes.similarities(texts), Contains("similarities"));
}

TEST_CASE("an encoder refuses what it does not support", "[lm]") {
  const EncoderModelPredictor bare(tiny_encoder("bert-bare"));
  CHECK_THROWS_WITH(bare.classify({{.first = "t5"}}), Contains("no head for classification"));
  CHECK_THROWS_WITH(bare.logits(at::zeros({1, 2})), Contains("an encoder"));
  CHECK(bare.what() == "bert, an encoder");
  EncoderModel bytes = tiny_encoder("bert");
  const TemporaryFolder empty;
  bytes.tokenizer = Tokenizer::open(empty.path());
  CHECK_THROWS_WITH(EncoderModelPredictor(bytes).classify({{.first = "", .where = "line 7"}}),
                    Contains("line 7") && Contains("no tokens"));
  CHECK_THROWS_WITH(EncoderModelPredictor(bytes).classify({{.first = "a", .where = "line 8"}}),
                    Contains("line 8") && Contains("id 97 ('a')") && Contains("vocabulary has 32"));
}

TEST_CASE("MiniLM gives the reference's sentence embeddings and similarities",
          "[lm][language][optional]") {
  const char* folder = std::getenv("ASSAY_TEST_MINILM");
  if (!folder) testing::skip("ASSAY_TEST_MINILM names no folder made by scripts/peers/minilm.py");
  OpenModel opened = open_model(fs::path(folder), {});
  const EncoderModel model{
      std::dynamic_pointer_cast<const EncoderArchitecture>(opened.architecture),
      std::move(opened.weights), at::kCPU, Tokenizer::open(folder)};
  const Json expected = read_json(fs::path(folder) / "expected.json");
  const auto texts = expected.at("texts").get<std::vector<std::string>>();
  for (size_t i = 0; i < texts.size(); ++i) {
    const TokenIds ids = model.tokenizer->encode(texts[i], true);
    const at::Tensor row = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong);
    const at::Tensor mean = model.architecture->embed(model.weights, {row.unsqueeze(0)})[0];
    const at::Tensor wanted =
        at::tensor(expected.at("embeddings")[i].get<std::vector<float>>(), at::kFloat);
    CHECK(difference(mean / mean.norm(), wanted) <= 1e-5);
  }
  std::vector<EncoderText> pairs;
  for (const Json& pair : expected.at("pairs")) {
    const std::string &first = texts[pair[0].get<size_t>()], &second = texts[pair[1].get<size_t>()];
    const TokenizedInput both = model.tokenizer->encode_pair(first, second, 40);
    CHECK(both.ids == pair[3].get<TokenIds>());
    CHECK(both.types == pair[4].get<std::vector<int32_t>>());
    pairs.push_back({first, second});
  }
  const at::Tensor cosines = EncoderModelPredictor(model).similarities(pairs);
  for (size_t i = 0; i < pairs.size(); ++i)
    CHECK(std::abs(cosines[static_cast<int64_t>(i)].item<double>() -
                   expected.at("pairs")[i][2].get<double>()) <= 1e-5);
}
