// Experts of other widths, and of other tokenizers, on disk.
#include <algorithm>

#include "harness/checkpoint/writer.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/merge_folder.h"
#include "harness/merge/model_checks.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// A model whose tokens are these, in this order.
void write_model(const fs::path& folder, uint64_t key, int64_t width,
                 const std::vector<std::string>& tokens) {
  Json config = small_llama_config();
  config["hidden_size"] = width;
  config["vocab_size"] = tokens.size();
  write_checkpoint(folder, small_model(key, config), {config, Json(), "", {}}, false);
  Json vocabulary = Json::object();
  for (size_t i = 0; i < tokens.size(); ++i) vocabulary[tokens[i]] = i;
  const Json tokenizer = {
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
  write_file(folder / "tokenizer.json", tokenizer.dump());
}

class UnequalModels {
 public:
  UnequalModels() {
    write_model(path("wide"), 1, 8, {"a", "b", "c", "d"});
    write_model(path("narrow"), 2, 4, {"a", "b", "c", "d"});
    write_model(path("other"), 3, 4, {"d", "x", "a"});
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  MergeRequest request(const std::string& method, const std::string& expert,
                       const Json& parameters = Json::object()) const {
    write_file(
        path("merge.json"),
        Json{{"method", method}, {"parameters", parameters}, {"experts", {"wide", expert}}}.dump());
    return MergeRequest::read(path("merge.json"));
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("experts of two widths become one folder, which opens", "[merge][routed]") {
  const UnequalModels models;
  MergeRequest request = models.request("routed_ensemble", "narrow", {{"mix", "hidden"}});
  REQUIRE(request.problems.empty());
  REQUIRE_FALSE(request.notes.empty());
  CHECK_THAT(request.notes.back(),
             Contains("differ in their tensors: ") && Contains("narrow: tensor '"));
  merge_to_folder(request, {}, models.path("out"));
  const OpenModel opened = open_model(models.path("out"), {});
  CHECK(opened.architecture->config().at("member")[1].at("hidden_size") == 4);
  const at::Tensor ids = at::tensor({3, 1, 0}, at::kLong).view({1, 3});
  CHECK(opened.architecture->logits(opened.weights, ids).isfinite().all().item<bool>());

  const MergeRequest average = models.request("average", "narrow");
  REQUIRE_FALSE(average.problems.empty());
  CHECK_THAT(average.problems.front(), Contains("has shape"));
}

TEST_CASE("a merge of different tokenizers is noted", "[merge]") {
  const UnequalModels models;
  write_model(models.path("swapped"), 4, 8, {"b", "a", "c", "d"});
  write_model(models.path("alike"), 5, 8, {"a", "b", "c", "d"});
  const auto is_noted = [&](const std::string& expert) {
    const std::vector<std::string> notes = models.request("average", expert).notes;
    return std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
      return note.find("different tokenizers") != std::string::npos;
    });
  };
  CHECK(is_noted("swapped"));
  CHECK_FALSE(is_noted("alike"));
}

TEST_CASE("rows of another tokenizer follow the tokens' texts", "[merge][routed]") {
  const UnequalModels models;
  const auto wide = Checkpoint::open(models.path("wide"));
  const auto other = Checkpoint::open(models.path("other"));
  const MergeInputs inputs = unequal_inputs(nullptr, {wide, other});
  CHECK(inputs.experts[0].get() == wide.get());
  CHECK(inputs.expert_configs[1].at("vocab_size") == 4);
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    const at::Tensor own = other->read(name), found = inputs.experts[1]->read(name);
    REQUIRE(found.sizes() == at::IntArrayRef{4, 4});
    CHECK(at::equal(found[0], own[2]));  // "a"
    CHECK(at::equal(found[3], own[0]));  // "d"
    CHECK(distance(found[1], own.mean(0)) <= 1e-6);
    CHECK(distance(found[2], own.mean(0)) <= 1e-6);
    CHECK(at::equal(inputs.experts[1]->read_part(name, 6, 9), found.flatten().narrow(0, 6, 9)));
  }

  MergeRequest request = models.request("routed_ensemble@mergeme_heterogeneous", "other");
  REQUIRE(request.problems.empty());
  merge_to_folder(request, {}, models.path("out"));
  const auto merged = Checkpoint::open(models.path("out"));
  const at::Tensor a = merged->read("embedding.weight")[0];
  const at::Tensor wanted = (wide->read("model.embed_tokens.weight")[0].narrow(0, 0, 4) +
                             other->read("model.embed_tokens.weight")[2]) /
                            2;
  CHECK(distance(a.narrow(0, 0, 4), wanted) <= 1e-6);

  // Members that answer as they are take one tokenizer.
  CHECK_THROWS_WITH(models.request("routed_ensemble", "other", {{"mix", "logits"}}),
                    Contains("one tokenizer"));
}
