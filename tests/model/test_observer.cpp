#include <ATen/ATen.h>

#include "harness/model/internal/layers.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/model/observed.h"

using namespace assay;

namespace {

at::Tensor doubles(const std::vector<double>& values, int64_t rows) {
  return at::tensor(values, at::kDouble).reshape({rows, -1});
}

/// The largest difference over the largest value.
double relative_difference(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found - wanted).abs().max() / wanted.abs().max()).item<double>();
}

}  // namespace

TEST_CASE("the innermost observer sees every layer's input", "[model][observer]") {
  const StateDict weights = {{"a.weight", at::ones({1, 2})},
                             {"b.weight", at::ones({2, 3})},
                             {"table.weight", at::ones({5, 2})}};
  const at::Tensor x = at::tensor({1.0f, 2.0f, 3.0f, 4.0f}).view({1, 2, 2});
  const at::Tensor products = doubles({10, 14, 14, 20}, 2);
  GramObserver outer;
  {
    GramObserver inner;
    linear(weights, "a", x);
    linear(weights, "b", x, LinearLayout::kInOut);
    linear(weights, "b", 2 * x, LinearLayout::kInOut);
    embedding(weights, "table", at::ones({3}, at::kLong), "token id");

    CHECK(at::equal(inner.grams.at("a.weight").sum, products));
    CHECK(at::equal(inner.grams.at("b.weight").sum, 5 * products));
    CHECK(inner.grams.at("b.weight").rows == 4);
    CHECK(inner.grams.size() == 2);
  }
  CHECK(outer.grams.empty());
  CHECK(LayerObserver::active() == &outer);
}

TEST_CASE("tokens that do not count are not seen", "[model][observer]") {
  const StateDict weights = {{"a.weight", at::ones({1, 2})}};
  const at::Tensor x = at::tensor({1.0f, 2.0f, 3.0f, 4.0f}).view({1, 2, 2});
  const auto seen = [&] {
    GramObserver observer;
    linear(weights, "a", x);
    return observer.grams.at("a.weight").sum;
  };

  const CountedTokens last(at::tensor({0, 1}).to(at::kBool).view({1, 2}));
  CHECK(at::equal(seen(), doubles({9, 12, 12, 16}, 2)));
  {
    const CountedTokens all({});
    CHECK(at::equal(seen(), doubles({10, 14, 14, 20}, 2)));
  }
  CHECK(at::equal(seen(), doubles({9, 12, 12, 16}, 2)));
}

TEST_CASE("a convolution is a product of its patches and its weight", "[model][observer]") {
  struct Patches final : LayerObserver {
    void layer(const LayerInput& input) override { rows = counted_rows(input); }
    at::Tensor rows;
  } observer;
  const at::Tensor x = at::arange(2 * 3 * 6 * 5, at::kFloat).view({2, 3, 6, 5});
  const StateDict weights = {{"c.weight", at::arange(4 * 3 * 3 * 2, at::kFloat).view({4, 3, 3, 2})},
                             {"c.bias", at::tensor({1.0f, 2.0f, 3.0f, 4.0f})}};

  const at::Tensor y = conv2d(weights, "c", x, {.stride = {2, 1}, .padding = {1, 0}});

  CHECK(y.sizes() == at::IntArrayRef({2, 4, 3, 4}));
  CHECK(observer.rows.sizes() == at::IntArrayRef({2 * 3 * 4, 3 * 3 * 2}));
  const at::Tensor products =
      at::linear(observer.rows, weights.at("c.weight").flatten(1), weights.at("c.bias"));
  CHECK(at::equal(products.view({2, 3, 4, 4}).permute({0, 3, 1, 2}), y));
}

TEST_CASE("padding does not change what observers see", "[model][observer]") {
  const std::vector<TokenIds> texts = {{3, 1, 4, 1, 5}, {2, 7}, {6, 6, 6}};
  const std::vector<TokenIds> answers = {{0, 5}, {0, 9, 2, 8}, {0, 1}};
  for (const std::string& name : architectures().names()) {
    if (name == "assay_routed") continue;  // it reads prompts, see test_routed.cpp
    const auto model = example_architecture(name);
    if (!model->item_shape().empty()) continue;
    INFO(name);
    StateDict weights = model->initial_weights(1);
    for (auto& [unused, tensor] : weights) tensor.mul_(5);
    GramObserver alone;
    for (size_t i = 0; i < texts.size(); ++i)
      row_logits(*model, weights, text_batch(*model, {texts[i]}, {answers[i]}));
    for (const Padding padding : {Padding::kLeft, Padding::kRight}) {
      GramObserver together;
      row_logits(*model, weights, text_batch(*model, texts, answers, padding));

      // An expert of a mixture may be sent nothing but padding.
      std::erase_if(together.grams, [](const auto& gram) { return gram.second.rows == 0; });
      REQUIRE(together.grams.size() == alone.grams.size());
      for (const auto& [weight, gram] : alone.grams) {
        INFO(weight);
        CHECK(together.grams.at(weight).rows == gram.rows);
        CHECK(relative_difference(together.grams.at(weight).sum, gram.sum) <= 1e-5);
      }
    }
  }
}

TEST_CASE("observers see what PyTorch's hooks see", "[model][observer]") {
  // scripts/peers/gram_goldens.py wrote the numbers: of each layer the count of inputs, the trace,
  // the Frobenius norm and the first row of the sum of their products.
  for (const std::string folder :
       {"llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "gpt2", "gpt_neox", "t5", "t5-1.1",
        "mt5", "bert", "bert-bare", "roberta", "small_cnn", "mlp"}) {
    INFO(folder);
    const OpenModel model = open_model(kGoldens / folder, {});
    const Architecture& architecture = *model.architecture;
    GramObserver observer;
    if (architecture.item_shape().empty()) {
      const Json expected = read_json(kGoldens / folder / "expected.json");
      TokenIds answer;
      if (expected.contains("decoder_ids")) answer = expected.at("decoder_ids").get<TokenIds>();
      for (const Json& prompt : expected.at("prompts"))
        row_logits(architecture, model.weights,
                   text_batch(architecture, {prompt.get<TokenIds>()}, {answer}));
    } else {
      row_logits(architecture, model.weights, sine_batch(architecture, folder == "mlp" ? 7 : 3));
    }
    const CheckpointNames names = architecture.checkpoint_names();
    const auto own_name = [&](const std::string& name) {
      for (const auto& [alias, original] : names.tied)
        if (alias == canonical_name(names, name)) return original;
      return canonical_name(names, name);
    };
    size_t compared = 0;
    const Json wanted_grams = read_json(kGoldens / folder / "grams.json");
    for (const auto& [name, numbers] : wanted_grams.items()) {
      INFO(name);
      const auto gram = observer.grams.find(own_name(name));
      if (gram == observer.grams.end()) continue;
      ++compared;
      const at::Tensor& sum = gram->second.sum;
      const at::Tensor wanted =
          at::tensor(numbers.get<std::vector<double>>(), at::kDouble).slice(0, 1);
      const at::Tensor found =
          at::cat({at::stack({sum.trace(), sum.norm()}), sum[0]}).to(at::kDouble);
      CHECK(gram->second.rows == numbers[0].get<int64_t>());
      CHECK(relative_difference(found, wanted) <= 1e-5);
    }
    CHECK(compared == observer.grams.size());
  }
}
