#include <set>

#include "harness/calibration/data.h"
#include "harness/model/forward.h"
#include "harness/model/sequence_to_sequence.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/lm/encoder_models.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

// Example i of a task is a vector of the value first + i.
std::shared_ptr<const Task> counting_task(const std::string& name, int64_t first, int64_t count) {
  const at::Tensor values = at::arange(first, first + count, at::kFloat);
  return toy_task(name, values.unsqueeze(1).expand({-1, 2}).contiguous(), values.to(at::kLong));
}

std::vector<int64_t> labels(const CalibrationData& data) {
  const at::Tensor all = data.targets(0, data.size());
  return {all.const_data_ptr<int64_t>(), all.const_data_ptr<int64_t>() + all.numel()};
}

const Computation kMlp{toy_mlp(2, 3, 100), nullptr};

CalibrationData counted(int64_t examples, uint64_t seed = 0, int64_t of_first = 10) {
  return {kMlp,
          {counting_task("toy/a", 0, of_first), counting_task("toy/b", 50, 10)},
          {.examples = examples, .seed = seed}};
}

Computation characters(int64_t max_positions = 64) {
  const LanguageModel model = fake_model(max_positions);
  return {model.architecture, model.tokenizer};
}

}  // namespace

TEST_CASE("a calibration's settings are read strictly", "[calibration]") {
  const auto read = [](const Json& json) {
    return read_calibration(JsonReader(json, "sweep.json: $.calibration"));
  };
  CHECK(read(Json::object()) == CalibrationSpec{});
  const CalibrationSpec spec{Split::kTest, 7, 3, 64};
  CHECK(read(calibration_json(spec)) == spec);
  CHECK_THROWS_WITH(read({{"example", 3}}), Contains("'examples'"));
  CHECK_THROWS_WITH(read({{"examples", 0}}), Contains("$.calibration.examples"));
  CHECK_THROWS_WITH(read({{"seed", -1}}), Contains("must not be negative"));
  CHECK_THROWS_WITH(read({{"split", "dev"}}), Contains("validation"));
}

TEST_CASE("tasks take turns in a random order that depends on the seed alone", "[calibration]") {
  const std::vector<int64_t> all = labels(counted(20));
  REQUIRE(all.size() == 20);
  CHECK(std::set<int64_t>(all.begin(), all.end()).size() == 20);
  for (size_t i = 0; i < all.size(); ++i) CHECK((all[i] >= 50) == (i % 2 == 1));
  CHECK(labels(counted(20)) == all);
  CHECK(labels(counted(20, 1)) != all);
  // Fewer examples are the first of more.
  CHECK(labels(counted(7)) == std::vector<int64_t>(all.begin(), all.begin() + 7));
  // A task that has no more is passed over.
  const CalibrationData uneven = counted(100, 0, 3);
  CHECK(uneven.size() == 13);
  REQUIRE(uneven.notes().size() == 1);
  CHECK_THAT(uneven.notes()[0], Contains("100 examples") && Contains("has 13"));
}

TEST_CASE("batches of any size hold the same examples", "[calibration]") {
  const CalibrationData data = counted(11);
  const at::Tensor whole = data.batch(0, 11).inputs;
  for (int64_t first = 0; first < 11; first += 4) {
    const int64_t count = std::min<int64_t>(4, 11 - first);
    CHECK(at::equal(data.batch(first, count).inputs, whole.narrow(0, first, count)));
  }
  CHECK(data.fitting(0, 64 * 4) == 4);
  CHECK(data.fitting(0, 1) == 1);
  CHECK(data.fitting(9, 1'000'000) == 2);
}

TEST_CASE("what cannot be calibrated on is refused", "[calibration]") {
  CHECK_THROWS_WITH(CalibrationData(kMlp, {}, {}), Contains("at least one task"));
  CHECK_THROWS_WITH(CalibrationData(kMlp, {counting_task("toy/a", 0, 2)}, {.split = Split::kTest}),
                    Contains("no test split"));
  CHECK_THROWS_WITH(CalibrationData(characters(), {counting_task("toy/a", 0, 2)}, {}),
                    Contains("'toy/a' is not about texts"));
}

TEST_CASE("a decoder scores the true answer after its context", "[calibration]") {
  const TextFolder folder;
  const Json definition{
      {"dataset",
       {{"files",
         {{"validation",
           folder.lines("a.jsonl", {{{"q", "ab"}, {"c", {"x", "yz"}}, {"label", 1}},
                                    {{"q", "c"}, {"c", {"uv", "w"}}, {"label", 0}}})}}}}},
      {"prompt", "{{q}}"},
      {"choices", "{{c}}"}};
  const auto task = make_text_task("multiple_choice", definition);
  CalibrationSpec spec;
  const CalibrationData data(characters(), {task}, spec);
  REQUIRE(data.size() == 2);
  const ModelBatch batch = data.batch(0, 2);
  std::set<std::string> texts;
  int64_t row = 0;
  for (int64_t i = 0; i < 2; ++i) {
    std::string read, scored;
    for (int64_t t = 0; t < batch.inputs.size(1); ++t) {
      if (batch.mask.defined() && !batch.mask[i][t].item<bool>()) continue;
      read += static_cast<char>(batch.inputs[i][t].item<int64_t>());
      if (batch.scored[i][t].item<bool>())
        scored += static_cast<char>(data.targets(0, 2)[row++].item<int64_t>());
    }
    texts.insert(fmt::format("{}|{}", read, scored));
  }
  // The last token of the answer is not read, as nothing follows it.
  CHECK(texts == std::set<std::string>{"ab y| yz", "c u| uv"});
  CHECK(row == data.targets(0, 2).numel());

  spec.max_tokens = 3;
  const CalibrationData cut(characters(), {task}, spec);
  CHECK(cut.batch(0, 2).inputs.size(1) == 3);
  CHECK(cut.targets(0, 2).numel() == 6);
  REQUIRE(cut.notes().size() == 2);
  CHECK_THAT(cut.notes()[1], Contains("1 of 2 texts"));
  // Nor does a model of 3 tokens take the longer one.
  const CalibrationData short_model(characters(3), {task}, {.examples = 2});
  CHECK(short_model.batch(0, 2).inputs.size(1) == 3);
  REQUIRE(short_model.notes().size() == 1);
  CHECK_THAT(short_model.notes()[0], Contains("1 of 2 texts"));
}

TEST_CASE("an encoder-decoder reads the context and scores the true answer", "[calibration]") {
  const fs::path golden = fs::path(ASSAY_TESTS_FOLDER) / "golden/seq2seq";
  const Computation model = open_computation(*Checkpoint::open(golden));
  const auto& architecture =
      dynamic_cast<const SequenceToSequenceArchitecture&>(*model.architecture);
  const TextFolder folder;
  const Json definition{
      {"dataset",
       {{"files",
         {{"validation", folder.lines("a.jsonl", {{{"q", "a"}, {"a", "the first answer"}},
                                                  {{"q", "a longer one"}, {"a", "no"}}})}}}}},
      {"prompt", "{{q}}"},
      {"target", "{{a}}"}};
  const CalibrationData data(model, {make_text_task("generation", definition)}, {.examples = 2});
  const ModelBatch batch = data.batch(0, 2);
  const at::Tensor targets = data.targets(0, 2), examples = row_examples(batch);
  REQUIRE(batch.decoder_mask.defined());
  CHECK(at::equal(batch.scored, batch.decoder_mask));
  CHECK(targets.numel() == batch.scored.sum().item<int64_t>());
  CHECK(
      at::equal(batch.decoder_ids.select(1, 0), at::full({2}, architecture.start_id(), at::kLong)));
  for (int64_t i = 0; i < 2; ++i) {
    const at::Tensor answer = targets.index({examples == i});
    const int64_t count = answer.numel();
    CHECK(at::equal(batch.decoder_ids[i].slice(0, 1, count), answer.slice(0, 0, count - 1)));
    // The longer text has the shorter answer.
    const bool longer = batch.mask[i].all().item<bool>();
    CHECK(longer != batch.decoder_mask[i].all().item<bool>());
    const TokenIds text = model.tokenizer->encode(longer ? "a longer one" : "a", true);
    const at::Tensor read = batch.inputs[i].slice(0, 0, static_cast<int64_t>(text.size()));
    CHECK(at::equal(read, at::tensor(std::vector<int64_t>(text.begin(), text.end()), at::kLong)));
    CHECK(batch.mask[i].sum().item<int64_t>() == static_cast<int64_t>(text.size()));
  }
}

TEST_CASE("a text without an answer is scored whole, an answer of a generation after its prompt",
          "[calibration]") {
  const TextFolder folder;
  const std::string file = folder.lines("a.jsonl", {{{"text", "hello"}, {"answer", "you"}}});
  const Json data{{"files", {{"validation", file}}}};
  const CalibrationData whole(characters(), {make_text_task("perplexity", {{"dataset", data}})},
                              {});
  CHECK(at::equal(whole.targets(0, 1), at::tensor({'h', 'e', 'l', 'l', 'o'}, at::kLong)));
  CHECK(whole.batch(0, 1).inputs.size(1) == 5);  // BOS hell
  CHECK(whole.batch(0, 1).scored.all().item<bool>());
  const CalibrationData first(characters(), {make_text_task("perplexity", {{"dataset", data}})},
                              {.max_tokens = 2});
  CHECK(at::equal(first.targets(0, 1), at::tensor({'h', 'e'}, at::kLong)));

  const auto generation = make_text_task(
      "generation",
      {{"dataset", data}, {"prompt", "{{text}}"}, {"target", "{{answer}}"}, {"delimiter", ":"}});
  CHECK(at::equal(CalibrationData(characters(), {generation}, {}).targets(0, 1),
                  at::tensor({':', 'y', 'o', 'u'}, at::kLong)));
}

TEST_CASE("an encoder reads padded texts with their classes", "[calibration]") {
  const TextFolder folder;
  const Json definition{
      {"dataset",
       {{"files",
         {{"validation", folder.lines("a.jsonl", {{{"text", "t5 t6 t7"}, {"label", 1}},
                                                  {{"text", "t8"}, {"label", 0}}})}}}}},
      {"text", "{{text}}"},
      {"classes", 2}};
  const EncoderModel model = tiny_encoder("bert");
  const CalibrationData data({model.architecture, model.tokenizer},
                             {make_text_task("sequence_classification", definition)}, {});
  const ModelBatch batch = data.batch(0, 2);
  CHECK(batch.inputs.sizes() == at::IntArrayRef{2, 5});  // t2 t5 t6 t7 t3
  CHECK(batch.mask.sum().item<int64_t>() == 5 + 3);
  const at::Tensor lengths = batch.mask.sum(1);
  CHECK(at::equal(data.targets(0, 2), (lengths == 5).to(at::kLong)));
}

TEST_CASE("an encoder without a head reads texts one by one, as it embeds them", "[calibration]") {
  const TextFolder folder;
  const std::string pair = folder.lines("a.jsonl", {{{"a", "t5 t6"}, {"b", "t7"}, {"score", 1}}});
  const auto task =
      make_text_task("sentence_similarity", {{"dataset", {{"files", {{"validation", pair}}}}},
                                             {"text", "{{a}}"},
                                             {"text_pair", "{{b}}"}});
  const EncoderModel model = tiny_encoder("bert-bare");
  const CalibrationData data({model.architecture, model.tokenizer}, {task}, {});
  CHECK(at::equal(data.batch(0, 1).inputs, at::tensor({2, 5, 6, 3}, at::kLong).unsqueeze(0)));
}
