// Every need that a method declares is checked or refused.
#include <cmath>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/model_checks.h"
#include "harness/merge/request/merge_file.h"
#include "harness/merge/request/reconcile.h"
#include "harness/merge/request/requests.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

std::string unmet(const Needs& needs) {
  return unmet_need(needs, {.base = true, .experts = 2}).value_or("none");
}

/// Has the one need that its parameter names.
struct Needing {
  static constexpr MethodInfo info{
      .name = "needing", .paper = "https://example.org", .summary = "for tests of needs"};
  enum class Need { kInit, kBase, kThree, kInputs, kLabels, kGradients, kTokenizer };
  Need need = Need::kInit;

  void parameters(auto&& p) {
    p(need, {.name = "need",
             .choices = {"init", "base", "three", "inputs", "labels", "gradients", "tokenizer"},
             .help = "what it needs"});
  }
  Needs needs() const {
    return {.base = need == Need::kBase,
            .min_experts = need == Need::kThree ? 3 : 1,
            .calibration_inputs = need == Need::kInputs,
            .calibration_labels = need == Need::kLabels,
            .gradients = need == Need::kGradients,
            .same_initialization = need == Need::kInit,
            .tokenizer = need == Need::kTokenizer};
  }
  at::Tensor merge(const TensorJob& job) const { return job.experts.front(); }
};
ASSAY_METHOD(Needing)

/// A recipe's checkpoint as its assay.json says.
Json recipe_origin(const std::string& init, int64_t seed) {
  return {{"recipe_hash", "x"}, {"init", init}, {"seed", seed}};
}

std::shared_ptr<const Checkpoint> checkpoint(const fs::path& folder, const Json& origin = {},
                                             int64_t size = 2) {
  write_checkpoint(folder, {{"w", at::ones({size})}}, {{}, origin, "", {}}, false);
  return Checkpoint::open(folder);
}

}  // namespace

TEST_CASE("a merge file refuses every need that is not met before it reads a tensor", "[merge]") {
  const TemporaryFolder folder;
  checkpoint(folder.path() / "a", recipe_origin("random", 1));
  checkpoint(folder.path() / "b", recipe_origin("random", 2));
  checkpoint(folder.path() / "wide", {}, 3);
  const auto refusal = [&](const std::string& need,
                           const std::vector<std::string>& experts = {"a", "b"}) -> std::string {
    write_file(
        folder.path() / "merge.json",
        Json{{"method", "needing"}, {"parameters", {{"need", need}}}, {"experts", experts}}.dump());
    try {
      const MergeRequest request = MergeRequest::read(folder.path() / "merge.json");
      return request.problems.empty() ? "none" : request.problems.front();
    } catch (const std::exception& error) {
      return error.what();
    }
  };
  CHECK_THAT(refusal("base"), Contains("needs the base checkpoint"));
  CHECK_THAT(refusal("three"), Contains("at least 3"));
  CHECK_THAT(refusal("inputs"), Contains("calibration"));
  CHECK_THAT(refusal("labels"), Contains("calibration"));
  CHECK_THAT(refusal("gradients"), Contains("gradients"));
  CHECK_THAT(refusal("tokenizer"), Contains("one tokenizer"));
  CHECK_THAT(refusal("init"), Contains("seed 1") && Contains("seed 2"));
  CHECK(refusal("init", {"a", "a"}) == "none");
  CHECK_THAT(refusal("init", {"a", "wide"}), Contains("shape"));
}

TEST_CASE("files of statistics that the method does not read are refused", "[merge]") {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& method, const std::string& statistic) -> std::string {
    write_file(
        folder.path() / "merge.json",
        Json{{"method", method}, {"experts", {"a", "b"}}, {"statistics", {{statistic, {"a", "b"}}}}}
            .dump());
    try {
      MergeRequest::read(folder.path() / "merge.json");
    } catch (const UserError& error) {
      return error.what();
    }
    return "none";
  };
  CHECK_THAT(refusal("regmean", "input_grams"),
             Contains("merge.json.statistics") && Contains("Did you mean 'input_gram'?"));
  CHECK_THAT(refusal("average", "input_gram"), Contains("looks at no data"));
}

TEST_CASE("a merge reads the statistics of the values that tensors have", "[merge]") {
  const TemporaryFolder folder;
  checkpoint(folder.path() / "a");
  write_file(folder.path() / "merge.json",
             Json{{"method", "fisher"},
                  {"experts", {"a", "a"}},
                  {"parameters", {{"estimator", {{"w*", "empirical"}}}}},
                  {"calibration", {{"examples", 4}}}}
                 .dump());
  const MergeRequest request = MergeRequest::read(folder.path() / "merge.json");
  REQUIRE(request.statistics.size() == 1);
  CHECK(request.statistics[0].parameters["estimator"] == "empirical");
}

TEST_CASE("checkpoints of a recipe say which initialisation they come from", "[merge]") {
  const TemporaryFolder folder;
  const auto model = [&](const std::string& name, const Json& origin) {
    return checkpoint(folder.path() / name, origin);
  };
  const auto base = model("base", recipe_origin("random", 1)),
             fine = model("fine", recipe_origin("base", 7)),
             finer = model("finer", recipe_origin("fine", 8)),
             twin = model("twin", recipe_origin("random", 1)),
             other = model("other", recipe_origin("random", 2)),
             lost = model("lost", recipe_origin("gone", 2)),
             circle = model("circle", recipe_origin("circle", 2)), foreign = model("foreign", {});
  const Needs needs{.same_initialization = true};
  CHECK_FALSE(unmet_initialization_need(needs, {base, fine, finer, twin, nullptr}));
  CHECK_FALSE(unmet_initialization_need(needs, {lost, circle, foreign, other}));  // not known
  CHECK_FALSE(unmet_initialization_need({.same_initialization = false}, {base, other}));
  CHECK_THAT(unmet_initialization_need(needs, {foreign, finer, other}).value_or("none"),
             Contains(finer->label() + " starts") && Contains("seed 1") &&
                 Contains(other->label()) && Contains("seed 2"));
}

TEST_CASE("needs that are not met are refused in words", "[merge]") {
  CHECK(unmet({}) == "none");
  CHECK(unmet({.tokenizer = true}) == "none");  // checked on the models
  CHECK_THAT(unmet({.calibration_inputs = true}), Contains("calibration data"));
  CHECK_THAT(unmet({.calibration_labels = true}), Contains("calibration data"));
  CHECK_THAT(unmet({.gradients = true}), Contains("gradients"));
  CHECK(unmet({.output = Output::kReshaped}) == "none");
}

TEST_CASE("shapes are checked, whatever a method declares", "[merge]") {
  const MergeInputs inputs = one_tensor_inputs({}, {at::ones({2}), at::ones({3})});
  CHECK_THROWS_WITH(check_compatible(inputs), Contains("shape [3]"));
}

TEST_CASE("a method that needs one tokenizer gets models of one", "[merge]") {
  const TemporaryFolder folder;
  const auto model = [&](const std::string& name, const std::string& tokenizer) {
    write_checkpoint(folder.path() / name, {{"w", at::ones({2})}}, {}, false);
    if (!tokenizer.empty()) write_file(folder.path() / name / "tokenizer.json", tokenizer);
    return Checkpoint::open(folder.path() / name);
  };
  const auto a = model("a", "{}"), same = model("same", "{}"), other = model("other", "{ }");
  const Needs needs{.tokenizer = true};

  CHECK_FALSE(unmet_tokenizer_need(needs, {a, same, nullptr}));
  CHECK_THAT(unmet_tokenizer_need(needs, {a, other}).value_or(""), Contains("differ"));
  CHECK_THAT(unmet_tokenizer_need(needs, {a, model("none", "")}).value_or(""),
             Contains("holds none"));
  CHECK_FALSE(unmet_tokenizer_need(Needs{}, {a, other}));

  const auto configured = [&](const std::string& name, const Json& settings) {
    auto made = model(name, "{}");
    write_file(folder.path() / name / "tokenizer_config.json", settings.dump());
    return made;
  };
  const auto bos = configured("bos", {{"add_bos_token", true}}),
             chat = configured("chat", {{"add_bos_token", true}, {"chat_template", "x"}}),
             bare = configured("bare", {{"add_bos_token", false}});
  CHECK_FALSE(unmet_tokenizer_need(needs, {bos, chat}));
  CHECK_THAT(unmet_tokenizer_need(needs, {bos, bare}).value_or(""), Contains("differ"));
}

TEST_CASE("models of different initialisations are reported", "[merge]") {
  const auto inputs = [](uint64_t key) {
    MergeInputs made = one_tensor_inputs({}, {noise({100, 100}, 1), noise({100, 100}, key)});
    made.experts[1] = source("other", {{"w", made.experts[1]->read("w") + 3}});
    return made;
  };
  CHECK(value_notes(inputs(1), true).empty());
  const std::vector<std::string> notes = value_notes(inputs(2), true);
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], Contains("expert 0 and other") && Contains("initialisation"));
  CHECK(value_notes(inputs(2), false).empty());
}

TEST_CASE("a buffer that all borrow from one model is not compared with itself", "[merge]") {
  const at::Tensor w = at::ones({2});
  const at::Tensor mask = at::full({2}, std::nanf(""));  // which differs from itself
  const auto a = source("a", {{"w", w}, {"masked_bias", mask}}), b = source("b", {{"w", w}});
  for (const bool swapped : {false, true}) {
    MergeInputs inputs;
    inputs.experts = swapped ? reconcile({{b, {}}, {b, {}}, {a, {}}}).sources
                             : reconcile({{a, {}}, {b, {}}, {b, {}}}).sources;
    CHECK(value_notes(inputs, false).empty());
  }
}

TEST_CASE("integers and buffers that differ between models are reported by name", "[merge]") {
  MergeInputs inputs;
  for (const int64_t step : {1, 2})
    inputs.experts.push_back(source(fmt::format("m{}", step), {{"ids", at::arange(5) * step},
                                                               {"same", at::arange(5)},
                                                               {"inv_freq", at::ones({2})},
                                                               {"w", at::ones({2}) * step}}));

  const std::vector<std::string> notes = value_notes(inputs, true);

  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], Contains("those of m1; in m2") && Contains("'ids' (4 of 5 values)"));
}

TEST_CASE("buffers and stored copies of a tied head are known by a model's header", "[merge]") {
  const TemporaryFolder folder;
  int count = 0;
  const auto model = [&](const StateDict& tensors, const Json& config) {
    const fs::path path = folder.path() / fmt::format("{}", count++);
    write_checkpoint(path, tensors, {config, Json(), "", {}}, false);
    return Checkpoint::open(path);
  };
  const at::Tensor square = at::ones({2, 2});
  const StateDict plain{{"model.embed_tokens.weight", square}, {"w", square}};
  StateDict headed = plain;
  headed["lm_head.weight"] = square.clone();
  const Json ties{{"tie_word_embeddings", true}}, keeps{{"tie_word_embeddings", false}};
  const auto tied = model(headed, ties), untied = model(headed, keeps);

  CHECK(has_settled_tensors(*tied));
  CHECK_FALSE(has_settled_tensors(*untied));
  CHECK_FALSE(has_settled_tensors(*model(plain, ties)));
  CHECK(has_settled_tensors(*model({{"h.0.attn.bias", at::ones({1, 1, 4, 4})}}, {})));
  CHECK_FALSE(has_settled_tensors(*model({{"h.0.attn.bias", at::ones({4})}}, {})));
  CHECK_FALSE(has_settled_tensors(*model({{"position_ids", at::arange(4)}}, {})));

  CHECK_FALSE(tying_conflict(*tied, {tied, untied}));
  CHECK_FALSE(tying_conflict(*model(plain, ties), {model(plain, keeps)}));
  CHECK_THAT(tying_conflict(*tied, {untied}).value_or(""),
             Contains(tied->label() + " ties the head") && Contains(untied->label()));
  CHECK_THAT(tying_conflict(*untied, {tied}).value_or(""),
             Contains(tied->label() + " ties the head") && Contains(untied->label()));
}

TEST_CASE("what names stand for can be written as JSON", "[merge]") {
  ModelPath path("/models/a");
  path.cached = {{"org/a", "/mod\xe8les/a"}};
  path.notes = {"'/mod\xe8les/a' is used"};
  MergeRequest request;
  note_paths(request, {path});

  CHECK(request.configuration["models"]["org/a"] == "/mod\\xe8les/a");
  CHECK(request.notes == std::vector<std::string>{"'/mod\\xe8les/a' is used"});
}
