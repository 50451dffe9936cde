#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "tests/catch.h"
#include "tests/cost/flops_of.h"
#include "tests/model/observed.h"

using namespace assay;

namespace {

// Sizes of the models here. Texts have kTokens tokens, answers kAnswer, in kRows rows.
constexpr int64_t kRows = 2, kTokens = 8, kAnswer = 6, kWidth = 32, kInner = 48, kHeads = 4,
                  kSize = 8;

struct PassCost {
  int64_t forward = 0, backward = 0;
};

ModelBatch tokens(const Architecture& model) {
  const TokenIds text = {3, 1, 4, 1, 5, 9, 2, 6}, answer = {0, 5, 3, 5, 8, 9};
  return text_batch(model, {text, text}, {answer, answer});
}

/// What a forward and a backward pass cost. Nothing may be unknown.
PassCost cost_of(const Json& config) {
  const auto model = architecture_of(config);
  const ModelBatch batch = tokens(*model);
  StateDict weights = model->initial_weights(1);
  const int64_t unknown = counters::unknown_operators;
  PassCost cost;
  cost.forward = flops_of([&] {
    const c10::NoGradGuard no_gradients;
    row_logits(*model, weights, batch);
  });
  for (auto& [name, tensor] : weights) tensor.requires_grad_(true);
  const at::Tensor loss = row_logits(*model, weights, batch).sum();
  cost.backward = flops_of([&] { loss.backward(); });
  CHECK(counters::unknown_operators == unknown);
  return cost;
}

/// What one more layer costs.
PassCost layer_cost(Json config, const std::string& layers) {
  config[layers] = 1;
  const PassCost one = cost_of(config);
  config[layers] = 2;
  const PassCost two = cost_of(config);
  return {two.forward - one.forward, two.backward - one.backward};
}

// What the parts of a block cost per text of `n` tokens.
int64_t product(int64_t n, int64_t in, int64_t out) { return 2 * n * in * out; }
/// Square, mean, epsilon, root, normalised, scaled.
int64_t rms_norm(int64_t n) { return 4 * n * kWidth + 2 * n; }
int64_t layer_norm(int64_t n) { return 8 * n * kWidth; }
/// Two products and a softmax; a bias is one sum more.
int64_t attention(int64_t n, int64_t keys, bool bias = false) {
  return kHeads * n * keys * (4 * kSize + 5 + (bias ? 1 : 0));
}
int64_t residuals(int64_t n, int64_t count) { return count * n * kWidth; }

/// A backward pass does two products for each of a layer's, at least four for the two of attention,
/// and element-wise work besides.
void check_backward(int64_t found, int64_t products, int64_t scores) {
  const int64_t least = kRows * (2 * products + scores * 4 * 2 * kSize);
  CHECK(found >= least);
  CHECK(found <= least * 5 / 4);
}

}  // namespace

TEST_CASE("a gated decoder's block costs as in the formula", "[cost]") {
  const int64_t n = kTokens, kv_heads = 2, kv_width = kv_heads * kSize;
  const PassCost cost = layer_cost({{"model_type", "llama"},
                                    {"vocab_size", 16},
                                    {"hidden_size", kWidth},
                                    {"intermediate_size", kInner},
                                    {"num_attention_heads", kHeads},
                                    {"num_key_value_heads", kv_heads},
                                    {"rms_norm_eps", 1e-6}},
                                   "num_hidden_layers");

  const int64_t products = 2 * product(n, kWidth, kWidth) + 2 * product(n, kWidth, kv_width) +
                           3 * product(n, kWidth, kInner);
  const int64_t rotary = 3 * n * (kHeads + kv_heads) * kSize;
  const int64_t gate = 3 * n * kInner;  // SiLU is two
  CHECK(cost.forward ==
        kRows * (products + 2 * rms_norm(n) + rotary + attention(n, n) + gate + residuals(n, 2)));
  check_backward(cost.backward, products, kHeads * n * n);
}

TEST_CASE("a plain decoder's block costs as in the formula", "[cost]") {
  const int64_t n = kTokens;
  const PassCost cost = layer_cost({{"model_type", "gpt2"},
                                    {"vocab_size", 16},
                                    {"n_positions", 16},
                                    {"n_embd", kWidth},
                                    {"n_inner", kInner},
                                    {"n_head", kHeads}},
                                   "n_layer");

  const int64_t products = 4 * product(n, kWidth, kWidth) + 2 * product(n, kWidth, kInner);
  const int64_t biases = n * (4 * kWidth + kInner + kWidth);
  const int64_t gelu = 5 * n * kInner;
  CHECK(cost.forward ==
        kRows * (products + biases + 2 * layer_norm(n) + attention(n, n) + gelu + residuals(n, 2)));
  check_backward(cost.backward, products, kHeads * n * n);
}

TEST_CASE("an encoder's block costs as in the formula", "[cost]") {
  const int64_t n = kTokens;
  const PassCost cost = layer_cost({{"model_type", "bert"},
                                    {"vocab_size", 16},
                                    {"max_position_embeddings", 16},
                                    {"hidden_size", kWidth},
                                    {"intermediate_size", kInner},
                                    {"num_attention_heads", kHeads},
                                    {"architectures", {"BertForSequenceClassification"}}},
                                   "num_hidden_layers");

  const int64_t products = 4 * product(n, kWidth, kWidth) + 2 * product(n, kWidth, kInner);
  const int64_t biases = n * (4 * kWidth + kInner + kWidth);
  const int64_t gelu = 5 * n * kInner;
  CHECK(cost.forward ==
        kRows * (products + biases + 2 * layer_norm(n) + attention(n, n) + gelu + residuals(n, 2)));
  check_backward(cost.backward, products, kHeads * n * n);
}

TEST_CASE("an encoder-decoder's two blocks cost as in the formula", "[cost]") {
  const int64_t n = kTokens, m = kAnswer;
  const PassCost cost = layer_cost({{"model_type", "t5"},
                                    {"vocab_size", 16},
                                    {"d_model", kWidth},
                                    {"d_ff", kInner},
                                    {"num_heads", kHeads},
                                    {"d_kv", kSize},
                                    {"feed_forward_proj", "relu"}},
                                   "num_layers");

  const auto square = [](int64_t of) { return product(of, kWidth, kWidth); };
  const auto feed_forward = [](int64_t of) { return 2 * product(of, kWidth, kInner); };
  const int64_t encoder = 4 * square(n) + feed_forward(n);
  // Keys and values of cross-attention are made of the text.
  const int64_t decoder = 4 * square(m) + 2 * square(m) + 2 * square(n) + feed_forward(m);
  const int64_t attended = attention(n, n, true) + attention(m, m, true) + attention(m, n);
  const int64_t relu = (n + m) * kInner;
  CHECK(cost.forward == kRows * (encoder + decoder + 2 * rms_norm(n) + 3 * rms_norm(m) + attended +
                                 relu + residuals(n, 2) + residuals(m, 3)));
  check_backward(cost.backward, encoder + decoder, kHeads * (n * n + m * m + m * n));
}

TEST_CASE("a backward pass of small_cnn costs as in the formula", "[cost]") {
  const int64_t n = 5;
  const auto cnn = architecture_of(
      {{"model_type", "small_cnn"}, {"classes", 10}, {"channels", 4}, {"hidden", 6}});
  StateDict weights = cnn->initial_weights(1);
  for (auto& [name, tensor] : weights) tensor.requires_grad_(true);
  const at::Tensor loss = cnn->logits(weights, at::ones({n, 1, 28, 28})).sum();

  // Gradients of bias, weight and, but for the first layer, input; ReLU's of its input.
  const int64_t head = 10 + 2 * product(1, 6, 10), hidden = 6 + 6 + 2 * product(1, 8 * 49, 6);
  const int64_t conv2 = 8 * 49 + 8 * 196 + 2 * product(8 * 196, 9, 4);
  const int64_t conv1 = 4 * 196 + 4 * 784 + product(4 * 784, 9, 1);
  CHECK(flops_of([&] { loss.backward(); }) == n * (head + hidden + conv2 + conv1));
}
