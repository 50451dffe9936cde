#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "tests/catch.h"
#include "tests/model/observed.h"

using namespace assay;

namespace {

/// A function of all scores whose derivatives differ: the sum of sin(i) times score i.
at::Tensor loss_of(const Architecture& model, const StateDict& weights, const ModelBatch& batch) {
  const at::Tensor logits = row_logits(model, weights, batch);
  return (logits.flatten() * at::sin(at::arange(1, logits.numel() + 1, logits.options()))).sum();
}

}  // namespace

TEST_CASE("gradients of every architecture equal finite differences", "[model][forward]") {
  for (const std::string& name : architectures().names()) {
    if (name == "assay_routed") continue;  // it reads prompts, see test_routed.cpp
    INFO(name);
    // Positive weights saturate its activation (ReLU6) everywhere.
    if (name == "efficientnet_lite0") continue;
    const auto model = example_architecture(name);
    const ModelBatch batch = small_batch(*model);
    StateDict weights = model->initial_weights(1);
    for (auto& [unused, tensor] : weights) {
      tensor = tensor.to(at::kDouble);
      tensor = (tensor / (2 * tensor.abs().max() + 0.1) + 0.05).requires_grad_(true);
    }
    loss_of(*model, weights, batch).backward();
    for (const auto& entry : weights) {
      const std::string& weight = entry.first;
      const at::Tensor& tensor = entry.second;
      INFO(weight);
      const at::Tensor gradient = tensor.grad();
      // No token of the batch is sent to this expert.
      if (!gradient.defined() && weight.find(".experts.") != std::string::npos) continue;
      REQUIRE(gradient.defined());
      REQUIRE(at::isfinite(gradient).all().item<bool>());
      const int64_t steepest = gradient.abs().argmax().item<int64_t>();
      const double found = gradient.flatten()[steepest].item<double>();
      // What is added to all keys alike does not change attention.
      CHECK((std::abs(found) > 1e-9 || weight.ends_with("key.bias") ||
             weight.ends_with("self_attn.k_proj.bias")));
      const auto moved = [&](double step) {
        const c10::NoGradGuard no_gradients;
        StateDict changed = weights;
        changed[weight] = tensor.clone();
        changed[weight].view({-1})[steepest] += step;
        return loss_of(*model, changed, batch).item<double>();
      };
      CHECK((moved(1e-6) - moved(-1e-6)) / 2e-6 == Approx(found).epsilon(1e-5).margin(1e-7));
    }
  }
}

TEST_CASE("the rows of a padded batch are those of its texts alone", "[model][forward]") {
  const std::vector<TokenIds> texts = {{3, 1, 4, 1, 5}, {2, 7}};
  const std::vector<TokenIds> answers = {{0, 5}, {0, 9, 2, 8}};
  for (const std::string& name : architectures().names()) {
    if (name == "assay_routed") continue;  // it reads prompts, see test_routed.cpp
    const auto model = example_architecture(name);
    if (!model->item_shape().empty()) continue;
    INFO(name);
    const StateDict weights = model->initial_weights(1);
    const at::Tensor first =
        row_logits(*model, weights, text_batch(*model, {texts[0]}, {answers[0]}));
    const at::Tensor second =
        row_logits(*model, weights, text_batch(*model, {texts[1]}, {answers[1]}));
    for (const Padding padding : {Padding::kLeft, Padding::kRight})
      CHECK(at::allclose(row_logits(*model, weights, text_batch(*model, texts, answers, padding)),
                         at::cat({first, second}), 1e-4, 1e-5));
  }
}

TEST_CASE("a batch scores the tokens that it names", "[model][forward]") {
  const LanguageModel llama = small_llama();
  ModelBatch batch = text_batch(*llama.architecture, {{3, 1, 4}, {2, 7}}, {});
  batch.scored = at::tensor({0, 1, 1, 1, 0, 0}).to(at::kBool).view({2, 3});

  const at::Tensor rows = row_logits(*llama.architecture, llama.weights, batch);

  CHECK(at::equal(row_examples(batch), at::tensor({0, 0, 1}, at::kLong)));
  CHECK(rows.size(0) == 3);
  CHECK(at::allclose(rows[1], last_logits(llama, {3, 1, 4}), 1e-4, 1e-5));
  CHECK(at::allclose(rows[2], last_logits(llama, {2}), 1e-4, 1e-5));
}

TEST_CASE("a classifier has a row per example, an encoder without a head its embeddings",
          "[model][forward]") {
  const auto mlp = example_architecture("mlp");
  const StateDict weights = mlp->initial_weights(1);
  const ModelBatch images{.inputs = at::ones({3, 784})};
  CHECK(at::equal(row_logits(*mlp, weights, images), mlp->logits(weights, images.inputs)));
  CHECK(at::equal(row_examples(images), at::arange(3)));

  const OpenModel bare = open_model(kGoldens / "bert-bare", {});
  const auto encoder = std::dynamic_pointer_cast<const EncoderArchitecture>(bare.architecture);
  const ModelBatch texts = text_batch(*encoder, {{2, 7, 9}, {2, 5}}, {});
  CHECK(at::equal(row_logits(*encoder, bare.weights, texts),
                  encoder->embed(bare.weights, {texts.inputs, {}, texts.mask})));
  CHECK_THROWS_WITH(class_logits(*encoder, bare.weights, texts),
                    Catch::Matchers::Contains("without a head"));
}
