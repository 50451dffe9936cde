// Steps on texts of mixed lengths go through the model by length, and are the same steps.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>

#include "harness/core/error.h"
#include "harness/train/internal/batch_loss.h"
#include "harness/train/recipe.h"
#include "tests/catch.h"
#include "tests/model/positions.h"
#include "tests/train/mixed_texts.h"

using namespace assay;
using assay::test::MixedHome;
using assay::test::text_recipe;
using assay::test::tiny_llama;
using assay::testing::Positions;

namespace {

using Batches = std::vector<std::vector<int64_t>>;

/// A training that has not begun, of a recipe with the checkpoint "base" alone.
class Start {
 public:
  Start(const MixedHome& home, const Json& recipe, at::ScalarType dtype)
      : recipe_(Recipe::read(home.write_recipe(recipe))),
        architecture_(make_architecture(JsonReader(recipe_.architecture(), "$"))),
        data_(read_training_data(recipe_, entry(), Split::kTrain, 0, "base")),
        saved_(home.folder() / "base", "this recipe") {
    StateDict initial = architecture_->initial_weights(3);
    for (auto& [unused, tensor] : initial) tensor = tensor.to(dtype);
    weights_ = trained_weights(recipe_, entry(), *architecture_, std::move(initial), {}, "base");
  }

  const CheckpointRecipe& entry() const { return recipe_.at("base"); }
  std::vector<int64_t> all() const {
    std::vector<int64_t> places(static_cast<size_t>(data_->size()));
    std::iota(places.begin(), places.end(), 0);
    return places;
  }
  Batches batches() const { return micro_batches_of(*data_, all(), entry().accumulate); }
  /// Ascending, of the texts of each of these micro-batches: what encoder and decoder read.
  Batches lengths(const Batches& batches) const {
    Batches lengths = batches;
    for (std::vector<int64_t>& batch : lengths) {
      for (int64_t& place : batch)
        place = data_->length(place).inputs + data_->length(place).decoder;
      std::sort(batch.begin(), batch.end());
    }
    return lengths;
  }

  struct Step {
    double loss = 0;
    StateDict gradients;
  };
  Step step(const Batches& batches) const {
    const c10::AutoGradMode with_gradients(true);
    for (const auto& [unused, tensor] : weights_->trained()) tensor.mutable_grad() = at::Tensor();
    Step made;
    made.loss = add_gradients({*architecture_, entry(), *weights_, *data_, nullptr, saved_, "base"},
                              batches, 0);
    for (const auto& [name, tensor] : weights_->trained())
      made.gradients[name] = tensor.grad().defined() ? tensor.grad() : at::zeros_like(tensor);
    return made;
  }

 private:
  Recipe recipe_;
  std::unique_ptr<const Architecture> architecture_;
  std::unique_ptr<const TrainingData> data_;
  StateFile saved_;
  std::unique_ptr<const TrainedWeights> weights_;
};

Json recipe_of(const Json& architecture, const std::string& task, const std::string& settings) {
  Json recipe = {{"name", "mixed"},
                 {"tokenizer", (home_folder() / "recipes/tokenizers/bytes").string()},
                 {"architecture", architecture},
                 {"checkpoints",
                  {{"base",
                    {{"role", "base"},
                     {"init", "random"},
                     {"mixture", {task}},
                     {"steps", 4},
                     {"batch", 4},
                     {"learning_rate", 0.01}}}}}};
  recipe["checkpoints"]["base"].merge_patch(Json::parse(settings));
  return recipe;
}

Json changed(Json json, const std::string& patch) {
  json.merge_patch(Json::parse(patch));
  return json;
}

const char* const kT5 = R"({"model_type": "t5", "vocab_size": 257, "d_model": 16, "d_kv": 4,
    "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0, "pad_token_id": 0,
    "eos_token_id": 256, "n_positions": 64})";
const char* const kBert = R"({"model_type": "bert", "vocab_size": 258, "hidden_size": 16,
    "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 32, "architectures": ["BertForSequenceClassification"],
    "id2label": {"0": "a", "1": "b"}})";

struct Case {
  std::string name;
  Json recipe;
  Batches lengths;  ///< of the texts of each micro-batch
};

std::vector<Case> cases() {
  const std::string texts = "mixed/texts", questions = "mixed-questions/all";
  const Batches of_texts = {{2, 2}, {8, 8}}, of_questions = {{5}, {12}, {13, 20}};
  const Json switched = changed(Json::parse(kT5), R"({"model_type": "switch_transformers",
      "num_experts": 3, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1,
      "expert_capacity": 2})");
  Json masked = recipe_of(changed(Json::parse(kBert), R"({"architectures": ["BertForMaskedLM"]})"),
                          texts, R"({"loss": "masked"})");
  masked["tokenizer"] = (home_folder() / "recipes/tokenizers/masked-bytes").string();
  return {
      {"decoder", recipe_of(tiny_llama(), texts, "{}"), of_texts},
      {"decoder in parts, with gradient checkpointing",
       recipe_of(tiny_llama(), texts, R"({"accumulate": 4, "gradient_checkpointing": true})"),
       {{2}, {2}, {8}, {8}}},
      {"mixture of experts",
       recipe_of(changed(tiny_llama(), R"({"model_type": "mixtral", "num_local_experts": 4,
           "num_experts_per_tok": 2})"),
                 texts, "{}"),
       of_texts},
      {"answers of a decoder",
       recipe_of(tiny_llama(), questions, R"({"loss": "answers"})"),
       {{4}, {11, 12}, {19}}},
      {"encoder-decoder", recipe_of(Json::parse(kT5), questions, "{}"), of_questions},
      {"experts of limited capacity", recipe_of(switched, questions, "{}"), of_questions},
      {"encoder", recipe_of(Json::parse(kBert), "mixed-classes/all", "{}"), {{4, 4, 5}, {20}}},
      {"encoder of masked tokens", masked, {{4, 4}, {10, 10}}},
  };
}

double largest(const StateDict& tensors) {
  double value = 0;
  for (const auto& [unused, tensor] : tensors)
    value = std::max(value, tensor.abs().max().item<double>());
  return value;
}

void check_equal(const Start::Step& divided, const Start::Step& whole, double tolerance) {
  CHECK(divided.loss == Approx(whole.loss).epsilon(tolerance));
  const double scale = largest(whole.gradients);
  REQUIRE(scale > 0);
  for (const auto& [name, gradient] : whole.gradients) {
    INFO(name);
    CHECK((divided.gradients.at(name) - gradient).abs().max().item<double>() <= tolerance * scale);
  }
}

constexpr double kDoubleTolerance = 1e-12, kFloatTolerance = 1e-6;
constexpr double kBfloat16Tolerance = 0.03;  // of 8 bits, several times rounded

}  // namespace

TEST_CASE("a step by length has the loss and the gradients of the whole batch", "[train]") {
  const MixedHome home;
  for (const auto& [name, recipe, lengths] : cases()) {
    INFO(name);
    const Start exact(home, recipe, at::kDouble);
    CHECK(exact.lengths(exact.batches()) == lengths);
    check_equal(exact.step(exact.batches()), exact.step({exact.all()}), kDoubleTolerance);
    const Start start(home, recipe, at::kFloat);
    check_equal(start.step(start.batches()), start.step({start.all()}), kFloatTolerance);
  }
}

TEST_CASE("a step by length of an adapter, and in bf16, is that of the whole batch", "[train]") {
  const MixedHome home;
  const Json adapter = recipe_of(tiny_llama(), "mixed/texts", R"({"adapter": {"rank": 2,
      "alpha": 4, "targets": ["q_proj", "down_proj"]}})");
  const Start adapted(home, adapter, at::kFloat);
  CHECK(adapted.batches().size() == 2);
  check_equal(adapted.step(adapted.batches()), adapted.step({adapted.all()}), kFloatTolerance);

  const Json bf16 = recipe_of(tiny_llama(), "mixed/texts", R"({"precision": "bf16"})");
  const Start rounded(home, bf16, at::kFloat);
  check_equal(rounded.step(rounded.batches()), rounded.step({rounded.all()}), kBfloat16Tolerance);
}

TEST_CASE("a step by length computes less padding", "[train]") {
  const MixedHome home;
  const auto positions = [](const Start& start, const Batches& batches, const char* suffix) {
    Positions seen(suffix);
    start.step(batches);
    return seen.count();
  };
  // Texts of 2, 8, 2 and 8 tokens: four rows of 8, or two of 2 and two of 8.
  const Start decoder(home, recipe_of(tiny_llama(), "mixed/texts", "{}"), at::kFloat);
  const char* query = "layers.0.self_attn.q_proj.weight";
  CHECK(positions(decoder, {decoder.all()}, query) == 4 * 8);
  CHECK(positions(decoder, decoder.batches(), query) == 2 * 2 + 2 * 8);
  // Prompts of 3, 11, 3 and 11 tokens and answers of 2, 9, 9 and 2.
  const Start both(home, recipe_of(Json::parse(kT5), "mixed-questions/all", "{}"), at::kFloat);
  const char* encoder = "encoder.block.0.layer.0.SelfAttention.q.weight";
  const char* answers = "decoder.block.0.layer.0.SelfAttention.q.weight";
  CHECK(positions(both, {both.all()}, encoder) == 4 * 11);
  CHECK(positions(both, both.batches(), encoder) == 3 + 3 + 2 * 11);
  CHECK(positions(both, {both.all()}, answers) == 4 * 9);
  CHECK(positions(both, both.batches(), answers) == 2 + 9 + 2 * 9);
}

TEST_CASE("training on mixed lengths goes on after a kill with the same bytes", "[train]") {
  const MixedHome home;
  const std::string settings = R"({"batch": 3, "steps": 7, "save_every": 5, "weight_decay": 0.1,
      "early_stopping": {"every": 3, "patience": 9}})";
  // Of 16 experts, texts of 2 and 8 tokens leave some without any.
  const Json mixture =
      changed(tiny_llama(),
              R"({"model_type": "mixtral", "num_local_experts": 16, "num_experts_per_tok": 1})");
  for (const Json& model : {tiny_llama(), mixture}) {
    INFO(model.at("model_type"));
    const Recipe recipe =
        Recipe::read(home.write_recipe(recipe_of(model, "mixed/texts", settings)));
    const CheckpointRecipe& entry = recipe.at("base");
    const auto architecture = make_architecture(JsonReader(recipe.architecture(), "$"));
    const auto data = read_training_data(recipe, entry, Split::kTrain, 0, "base");
    const auto validation = read_training_data(recipe, entry, Split::kValidation, 4, "base");
    const StateFile saved(home.folder() / "base", recipe.hash("base"));
    const auto train = [&] {
      const auto weights = trained_weights(recipe, entry, *architecture,
                                           architecture->initial_weights(0), {}, "base");
      TrainingState state =
          run_training({*architecture, entry, *weights, *data, validation.get(), saved, "base"});
      state.weights = weights->changing();
      return state;
    };

    const TrainingState once = train();
    REQUIRE(saved.read());
    CHECK(saved.read()->step == 5);
    const TrainingState resumed = train();
    REQUIRE(once.losses.size() == 7);
    CHECK(resumed.losses == once.losses);
    CHECK(resumed.looks.size() == 2);
    for (const auto& [name, tensor] : once.weights) {
      INFO(name);
      CHECK(at::equal(tensor, resumed.weights.at(name)));
    }
  }
}
