// What is reconciled between models: tied heads, buffers, prefixes, tensors that not all have.
#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/merge/preflight.h"
#include "tests/catch.h"
#include "tests/merge/embedding_model.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

TEST_CASE("a stored copy of a tied tensor is left out", "[merge]") {
  const Json ties = {{"tie_word_embeddings", true}};
  const auto without_head = source("a", {{kEmbedding, at::ones({4, 2})}, {"layer", at::ones({1})}});

  const Reconciled out =
      reconcile({model("base", 4, 1, ties), {without_head, {{"tie_word_embeddings", true}}}}, {});

  CHECK(out.sources[0]->find(kHead) == nullptr);
  CHECK(out.sources[0]->find(kEmbedding) != nullptr);
  CHECK(out.sources[1] == without_head);
  REQUIRE(out.notes.size() == 1);
  CHECK_THAT(out.notes[0], Contains("base: 'lm_head.weight' is left out"));
}

TEST_CASE("a head that is tied gives its embedding where others have a head", "[merge]") {
  const auto tied = source("a", {{kEmbedding, at::ones({5, 2})}, {"layer", at::ones({3, 3})}});

  const Reconciled out =
      reconcile({model("base", 4, 1), {tied, {{"tie_word_embeddings", true}, {"vocab_size", 5}}}},
                {.vocabulary = VocabPolicy::kTruncateToBase});

  CHECK(out.problems.empty());
  CHECK(at::equal(out.sources[1]->read(kHead), at::ones({4, 2})));
  CHECK(model_mismatches(*out.sources[0], *out.sources[1]).empty());
  CHECK(out.notes.size() == 2);
}

TEST_CASE("T5's embedding appears once", "[merge][pitfall-4]") {
  const at::Tensor shared = at::ones({4, 2});
  const MergeModel t5{source("t5", {{"shared.weight", shared},
                                    {"encoder.embed_tokens.weight", shared},
                                    {"decoder.embed_tokens.weight", shared},
                                    {"lm_head.weight", shared}}),
                      {{"tie_word_embeddings", true}}};

  const Reconciled out = reconcile({t5, t5}, {});

  CHECK(out.sources[0]->tensors().size() == 1);
  CHECK(out.notes.size() == 6);
}

TEST_CASE("all that differs between models is reported", "[merge]") {
  const auto base =
      source("base", {{"a", at::ones({2})}, {"b", at::ones({3})}, {"c", at::ones({1})}});
  const auto other = source("other", {{"a", at::ones({4})},
                                      {"c", at::ones({1}, at::kLong)},
                                      {"d", at::ones({1}, at::kComplexFloat)}});

  const std::vector<std::string> problems = model_mismatches(*base, *other);

  REQUIRE(problems.size() == 4);
  CHECK_THAT(problems[0], Contains("other: tensor 'a' has shape [4], but [2] in base"));
  CHECK_THAT(problems[1], Contains("'b' is missing"));
  CHECK_THAT(problems[2], Contains("'c' has dtype int64, but float32"));
  CHECK_THAT(problems[3], Contains("'d' is in no other model"));
  CHECK(model_mismatches(*base, *base).empty());
  CHECK_THROWS_WITH(refuse(problems), Contains("4 problems") && Contains("'a'") && Contains("'d'"));
  CHECK_NOTHROW(refuse({}));
}

TEST_CASE("configs that compute differently are reported", "[merge]") {
  const auto weights = source("a", {});
  const std::vector<std::string> found = config_differences(
      {{weights, {{"rope_theta", 10000.0}, {"hidden_size", 8}, {"torch_dtype", "float32"}}},
       {weights, {{"rope_theta", 500000.0}, {"hidden_size", 8}, {"torch_dtype", "bfloat16"}}},
       {weights, nullptr}});

  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], Contains("500000") && Contains("rope_theta") && Contains("10000"));
}

TEST_CASE("disk and memory are checked before anything is read", "[merge]") {
  MergeInputs inputs;
  inputs.experts = {source("a", {{"w", at::ones({1000})}})};
  inputs.dtype = at::kBFloat16;
  CHECK(result_layout(inputs).front().bytes() == 2000);
  CHECK(free_disk("/") > 0);
  CHECK(existing_parent("/no/such/folder") == "/");
  CHECK(free_disk("/no/such/folder") > 0);
  CHECK(resource_problems(merge_sections({}, inputs, nullptr), {}, "/tmp/merged").empty());
  CHECK(bytes_text(1000) == "1000 bytes");
  CHECK(bytes_text(3 << 19) == "1.5 MiB");
}

TEST_CASE("ties follow the architecture's default, and copies that differ are reported",
          "[merge]") {
  const Json gemma = {{"model_type", "gemma2"}};
  const auto without_head = source("a", {{kEmbedding, at::ones({4, 2})}, {"layer", at::ones({1})}});

  const Reconciled out = reconcile({model("ft", 4, 1, gemma), {without_head, gemma}});

  CHECK(out.sources[0]->find(kHead) == nullptr);
  REQUIRE(out.notes.size() == 1);
  CHECK_THAT(out.notes[0], Contains("left out") && Contains("values differ"));  // it is negative

  // Llama's head is its own.
  CHECK(reconcile({model("a", 4, 1, {{"model_type", "llama"}})}).sources[0]->find(kHead));
}

TEST_CASE("the head of a model of text and images is tied by its text_config", "[merge]") {
  const std::string prefix = "language_model.";
  const at::Tensor embedding = at::ones({3, 2}), more = at::ones({5, 2});
  const auto config = [](int64_t rows) {
    return Json{{"text_config", {{"tie_word_embeddings", true}, {"vocab_size", rows}}}};
  };
  const MergeModel a{source("a", {{prefix + kEmbedding, embedding}}), config(3)};
  const MergeModel b{source("b", {{prefix + kEmbedding, more}, {prefix + kHead, more}}), config(5)};

  const Reconciled out = reconcile({a, b}, {.vocabulary = VocabPolicy::kTruncateToBase});

  CHECK(out.problems.empty());
  CHECK(out.vocab_size == 3);
  CHECK(out.sources[1]->tensors().size() == 1);
  CHECK(model_mismatches(*out.sources[0], *out.sources[1]).empty());
}

TEST_CASE("buffers are copied from the first model that has them", "[merge]") {
  const std::string ids = "embeddings.position_ids", mask = "h.0.attn.masked_bias";
  const at::Tensor w = at::ones({2});
  const auto a = source("a", {{"w", w}, {ids, at::arange(4)}});
  const auto b = source("b", {{"w", w},
                              {ids, at::arange(4, at::kFloat)},
                              {mask, at::full({}, -INFINITY)},
                              {"h.0.attn.bias", at::ones({1, 1, 2, 2})}});

  for (const bool swapped : {false, true}) {
    const Reconciled out = swapped ? reconcile({{b, {}}, {a, {}}}) : reconcile({{a, {}}, {b, {}}});
    MergeInputs inputs;
    inputs.experts = out.sources;
    CHECK_NOTHROW(check_compatible(inputs));
    CHECK(merged_names(inputs) == std::vector<std::string>{"w"});
    REQUIRE_FALSE(out.notes.empty());
    CHECK_THAT(out.notes[0], Contains("buffers") && Contains(swapped ? "of b" : "of a"));
    inputs.dtype = inputs.load_dtype = at::kHalf;
    const StateDict merged = merge("average", Json::object(), inputs);
    CHECK(merged.size() == 4);
    CHECK(merged.at("w").scalar_type() == at::kHalf);
    CHECK(merged.at(ids).scalar_type() == (swapped ? at::kFloat : at::kLong));
    CHECK(at::equal(merged.at(ids).to(at::kLong), at::arange(4)));
    CHECK(merged.at(mask).item<float>() == -INFINITY);
    CHECK(merged.at("h.0.attn.bias").scalar_type() == at::kFloat);
  }
}

TEST_CASE("a parameter of one value called bias is merged", "[merge]") {
  const auto of = [](float value) {
    return source(fmt::format("m{}", value), {{"gate.bias", at::full({1, 1, 1, 1}, value)}});
  };
  MergeInputs inputs;
  inputs.experts = reconcile({{of(1), {}}, {of(3), {}}}).sources;
  CHECK(merged_names(inputs) == std::vector<std::string>{"gate.bias"});
  CHECK(merge("average", Json::object(), inputs).at("gate.bias").item<float>() == 2);
}

TEST_CASE("what not all models have is an error, copied or dropped", "[merge]") {
  const at::Tensor w = at::ones({2}), x = at::full({3}, 7.f);
  const std::vector<MergeModel> models{{source("a", {{"w", w}}), {}},
                                       {source("b", {{"w", w}, {"x", x}}), {}}};

  const Reconciled refused = reconcile(models);
  CHECK_THAT(refused.problems.at(0), Contains("'x'") && Contains("extra_tensors"));
  CHECK(model_mismatches(*models[0].source, *refused.sources[1]).size() == 1);

  const Reconciled dropped = reconcile(models, {.extra = ExtraTensors::kDrop});
  CHECK(dropped.sources[1]->tensors().size() == 1);
  CHECK_THAT(dropped.notes.at(0), Contains("1 tensor ('x')") && Contains("left out"));

  MergeInputs inputs;
  const Reconciled copied = reconcile(models, {.extra = ExtraTensors::kCopy});
  inputs.experts = copied.sources;
  CHECK_NOTHROW(check_compatible(inputs));
  CHECK(at::equal(merge("average", Json::object(), inputs).at("x"), x));
  CHECK_THAT(copied.notes.at(0), Contains("copied from b"));

  CHECK(extra_tensors_from_name("drop", "test") == ExtraTensors::kDrop);
  CHECK_THROWS_WITH(extra_tensors_from_name("dorp", "test"), Contains("Did you mean 'drop'?"));
}

TEST_CASE("a prefix of all names is mapped and reported in one note", "[merge]") {
  const std::string bias = "h.0.attn.masked_bias";
  const auto plain =
      source("plain", {{"wte.weight", at::ones({2, 2})}, {"ln.weight", at::ones({2})}});
  const auto prefixed = source("prefixed", {{"transformer.wte.weight", at::full({2, 2}, 3.f)},
                                            {"transformer.ln.weight", at::full({2}, 3.f)},
                                            {"transformer." + bias, at::full({}, -1e9f)}});

  for (const bool swapped : {false, true}) {
    const Reconciled out = swapped ? reconcile({{prefixed, {}}, {plain, {}}})
                                   : reconcile({{plain, {}}, {prefixed, {}}});
    CHECK_THAT(out.notes.at(0), Contains("prefix 'transformer.'"));
    MergeInputs inputs;
    inputs.experts = out.sources;
    const StateDict merged = merge("average", Json::object(), inputs);
    const std::string prefix = swapped ? "transformer." : "";
    CHECK(merged.size() == 3);
    CHECK(at::equal(merged.at(prefix + "ln.weight"), at::full({2}, 2.f)));
    CHECK(merged.at(prefix + bias).item<float>() == -1e9f);
  }

  // No prefix explains these.
  const auto other = source("other", {{"transformer.wte.weight", at::ones({2, 2})},
                                      {"transformer.norm.weight", at::ones({2})}});
  CHECK(reconcile({{plain, {}}, {other, {}}}).notes.empty());
}

TEST_CASE("an adjusted model's content hash follows what is adjusted", "[merge]") {
  const auto of = [](float value) {
    return source("m", {{"w", at::ones({2})}, {"x", at::full({2}, value)}});
  };
  const auto hash = [](const std::shared_ptr<const TensorSource>& model, Adjustments adjustments) {
    return AdjustedSource(model, std::move(adjustments)).content_hash();
  };
  Adjustments drop, borrow, borrow_other;
  drop.left_out.emplace("x", "dropped");
  borrow.borrowed.emplace("x", of(2));
  borrow_other.borrowed.emplace("x", of(3));
  CHECK(hash(of(1), drop) == hash(of(1), drop));
  CHECK(hash(of(1), drop) != hash(of(2), drop));
  CHECK(hash(of(1), drop) != hash(of(1), borrow));
  CHECK(hash(of(1), borrow) != hash(of(1), borrow_other));
}
