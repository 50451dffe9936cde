// Statistics of models that read texts: a decoder, an encoder-decoder and an encoder with a head.
#include "harness/calibration/evidence.h"
#include "harness/calibration/statistic.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/lm/encoder_models.h"
#include "tests/merge/models.h"
#include "tests/model/observed.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// A tiny model in float64 with two texts of different lengths: "t4 t5 t6", with the answer "t7" or
/// the class 1, and "t8", with the answer "t9 t10" or the class 2.
class CalibratedTexts {
 public:
  explicit CalibratedTexts(const std::string& family) {
    const bool encoder = family == "bert";
    const TextFolder folder;
    const std::string file =
        folder.lines("a.jsonl", {{{"text", "t4 t5 t6"}, {"answer", "t7"}, {"label", 1}},
                                 {{"text", "t8"}, {"answer", "t9 t10"}, {"label", 2}}});
    Json task{{"dataset", {{"files", {{"validation", file}}}}}};
    if (encoder)
      task.update({{"text", "{{text}}"}, {"classes", 3}});
    else
      task.update({{"prompt", "{{text}}"}, {"target", "{{answer}}"}});
    OpenModel model = open_model(kGoldens / family, {});
    architecture = model.architecture;
    for (auto& [name, tensor] : model.weights) weights[name] = tensor.to(at::kDouble);
    const Computation computation{architecture,
                                  encoder ? tiny_encoder(family).tokenizer : plain_words()};
    data = std::make_unique<const CalibrationData>(CalibrationData(
        computation, {make_text_task(encoder ? "sequence_classification" : "generation", task)},
        {.examples = 2}));
    const TokenIds first = encoder ? TokenIds{2, 4, 5, 6, 3} : TokenIds{4, 5, 6};
    const TokenIds second = encoder          ? TokenIds{2, 8, 3}
                            : family == "t5" ? TokenIds{8}
                                             : TokenIds{8, 9};
    alone = {text_batch(*architecture, {first}, {{0}}),
             text_batch(*architecture, {second}, {{0, 9}})};
    if (family == "llama") alone[0].scored.narrow(1, 0, 2).fill_(false);
    targets = encoder ? std::vector<TokenIds>{{1}, {2}} : std::vector<TokenIds>{{7}, {9, 10}};
  }

  StatisticTensors compute(const std::string& name, const Json& parameters,
                           int64_t batch_tokens = 1000) const {
    const auto statistic = make_statistic(name, JsonReader(parameters, "a test"));
    return compute_statistic(*statistic, *architecture, weights, *data, 0, batch_tokens);
  }
  /// The gradients of the answer's log-probability, summed over its tokens.
  StateDict gradients(size_t text) const {
    StateDict leaves;
    for (const auto& [name, tensor] : weights) leaves[name] = tensor.clone().requires_grad_(true);
    const at::Tensor log_p = row_logits(*architecture, leaves, alone[text]).log_softmax(1);
    log_p.gather(1, at::tensor(targets[text], at::kLong).unsqueeze(1)).sum().backward();
    StateDict found;
    for (const auto& [name, leaf] : leaves)
      found[name] = leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf);
    return found;
  }

  std::shared_ptr<const Architecture> architecture;
  StateDict weights;
  std::unique_ptr<const CalibrationData> data;
  std::vector<ModelBatch> alone;  ///< the texts as batches of one, made by hand
  std::vector<TokenIds> targets;  ///< true tokens, or the class, of each text
};

/// How many vectors the layer with this weight read.
int64_t rows_of(const StatisticTensors& grams, const std::string& weight) {
  for (const LayerInfo& layer : grams.layers)
    if (layer.weight == weight) return grams.rows.at(layer.input);
  return -1;
}

}  // namespace

TEST_CASE("Gram matrices of padded texts are those of the texts alone", "[calibration]") {
  const std::string family = GENERATE("llama", "t5", "bert");
  CAPTURE(family);
  const CalibratedTexts model(family);
  REQUIRE(model.data->batch(0, 2).mask.defined());
  GramObserver observer;
  for (const ModelBatch& text : model.alone) row_logits(*model.architecture, model.weights, text);

  const Json exact{{"compute", "float64"}, {"storage", "float64"}};
  for (const int64_t batch_tokens : {1, 1000}) {
    const StatisticTensors found = model.compute("input_gram", exact, batch_tokens);
    REQUIRE_FALSE(found.tensors.empty());
    for (const auto& [name, gram] : found.tensors) {
      CAPTURE(name, batch_tokens);
      const auto& expected = observer.grams.at(name);
      CHECK(found.rows.at(name) == expected.rows);
      CHECK(distance(gram, expected.sum / static_cast<double>(expected.rows)) < 1e-12);
    }
  }
}

TEST_CASE("an encoder-decoder's layers count the tokens of the side that they read",
          "[calibration][pitfall-8]") {
  const StatisticTensors grams = CalibratedTexts("t5").compute("input_gram", Json::object());
  CHECK(rows_of(grams, "encoder.block.0.layer.0.SelfAttention.q.weight") == 3 + 1);
  CHECK(rows_of(grams, "decoder.block.0.layer.0.SelfAttention.q.weight") == 1 + 2);
  CHECK(rows_of(grams, "decoder.block.0.layer.1.EncDecAttention.q.weight") == 1 + 2);
  CHECK(rows_of(grams, "decoder.block.0.layer.1.EncDecAttention.k.weight") == 3 + 1);
}

TEST_CASE("an encoder's head reads a vector per text", "[calibration]") {
  const StatisticTensors grams = CalibratedTexts("bert").compute("input_gram", Json::object());
  CHECK(rows_of(grams, "classifier.weight") == 2);
  CHECK(rows_of(grams, "bert.encoder.layer.0.attention.self.query.weight") == 5 + 3);
}

TEST_CASE("statistics of gradients of texts are those of autograd", "[calibration]") {
  const std::string family = GENERATE("llama", "t5", "bert");
  CAPTURE(family);
  const CalibratedTexts model(family);
  const StateDict first = model.gradients(0), second = model.gradients(1);
  const StateDict fisher =
      model.compute("fisher", {{"estimator", "empirical"}, {"compute", "float64"}}).tensors;
  for (const auto& [name, values] : fisher) {
    CAPTURE(name);
    const at::Tensor expected = (first.at(name).square() + second.at(name).square()) / 2;
    CHECK(distance(values, expected) <= 1e-6 * expected.abs().max().item<double>());
  }

  // Its loss is a mean over the answer's tokens.
  const StateDict sensitivity = model.compute("layer_sensitivity", Json::object()).tensors;
  const auto tokens = [&](size_t text) { return static_cast<double>(model.targets[text].size()); };
  for (const auto& [name, value] : sensitivity) {
    CAPTURE(name);
    const at::Tensor expected = (model.weights.at(name) * first.at(name)).abs().sum() / tokens(0) +
                                (model.weights.at(name) * second.at(name)).abs().sum() / tokens(1);
    CHECK(value.item<double>() == Approx(expected.item<double>() / 2));
  }
  CHECK(fisher.size() == model.architecture->tensors().size());
  CHECK(sensitivity.size() == fisher.size());
}

TEST_CASE("moments and output gradients of padded texts leave padding out", "[calibration]") {
  const std::string family = GENERATE("llama", "t5", "bert");
  CAPTURE(family);
  const CalibratedTexts model(family);
  const Json exact{{"compute", "float64"}, {"storage", "float64"}};
  const StatisticTensors grams = model.compute("input_gram", exact);
  const StatisticTensors moments = model.compute("activation_moments", {{"compute", "float64"}});
  CHECK(moments.rows == grams.rows);
  for (const auto& [name, values] : moments.tensors) {
    CAPTURE(name);
    CHECK(distance(values[1], grams.tensors.at(name).diagonal()) < 1e-12);
  }
  const StatisticTensors outputs = model.compute("output_gradient_gram", exact);
  for (const LayerInfo& layer : grams.layers) {
    CAPTURE(layer.weight);
    CHECK(outputs.rows.at(layer.weight) == grams.rows.at(layer.input));
  }
  if (family != "bert") return;
  // The head reads a vector per text: the gradient of its output is that of its bias.
  at::Tensor expected = at::zeros({3, 3}, at::kDouble);
  for (const size_t text : {0, 1}) {
    const at::Tensor gradient = model.gradients(text).at("classifier.bias");
    expected += gradient.ger(gradient) / 2;
  }
  CHECK(distance(outputs.tensors.at("classifier.weight"), expected) < 1e-12);
}

TEST_CASE("scores by length are those of the padded batch, in its order", "[calibration]") {
  // The encoder reads 3 tokens and 1, the decoder 1 and 2: the second text goes first.
  const CalibratedTexts model("t5");
  CHECK(model.data->by_length(0, 2) == std::vector<std::vector<int64_t>>{{1}, {0}});
  EvidenceSources sources;
  sources.architecture = model.architecture;
  StateDict reference;
  for (const auto& [name, tensor] : model.weights) reference[name] = tensor.to(at::kFloat);
  sources.reference = source("reference", reference);
  sources.data = [&](size_t) {
    return std::shared_ptr<const CalibrationData>(std::shared_ptr<void>(), model.data.get());
  };
  const CalibrationEvidence evidence(sources);
  const Network& network = evidence.network();
  const std::string query = "encoder.block.0.layer.0.SelfAttention.q.weight";
  const at::Tensor leaf = reference.at(query).clone().requires_grad_(true);
  const auto gradient = [&](const at::Tensor& scores) {
    leaf.mutable_grad() = at::Tensor();
    at::cross_entropy_loss(scores, network.targets(0, 0, 2)).backward();
    return leaf.grad();
  };
  const at::Tensor whole = network.logits({{query, leaf}}, 0, 0, 2);
  const at::Tensor divided = network.logits_by_length({{query, leaf}}, 0, 0, 2);
  REQUIRE(whole.size(0) == 1 + 2);
  const double scale = whole.abs().max().item<double>();
  CHECK(distance(divided, whole) <= 1e-5 * scale);
  CHECK(distance(whole[0], whole[1]) > 1e-3 * scale);  // another order would be seen
  const at::Tensor expected = gradient(whole).clone();
  const double largest = expected.abs().max().item<double>();
  CHECK(largest > 0);
  CHECK(distance(gradient(divided), expected) <= 1e-5 * largest);
}

TEST_CASE("what is not padded is not divided", "[calibration]") {
  const CalibratedTexts model("llama");  // texts of 3 and 2 tokens
  CHECK(model.data->by_length(0, 2) == std::vector<std::vector<int64_t>>{{0, 1}});
  const CalibrationData inputs({toy_mlp(4, 5, 3), nullptr},
                               {toy_task("toy/a", at::zeros({6, 4}), at::zeros({6}, at::kLong))},
                               {.examples = 6});
  CHECK(inputs.by_length(2, 3) == std::vector<std::vector<int64_t>>{{2, 3, 4}});
}
