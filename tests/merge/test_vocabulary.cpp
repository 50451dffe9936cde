// Embeddings and heads whose numbers of rows differ between models.
#include "harness/merge/preflight.h"
#include "tests/catch.h"
#include "tests/merge/embedding_model.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

std::vector<int64_t> rows_of(const Reconciled& reconciled, const char* name) {
  std::vector<int64_t> rows;
  for (const auto& adjusted : reconciled.sources) {
    CHECK(adjusted->find(name)->shape == adjusted->read(name).sizes().vec());
    rows.push_back(adjusted->read(name).size(0));
  }
  return rows;
}

}  // namespace

TEST_CASE("models of one vocabulary stay as they are", "[merge]") {
  const std::vector<MergeModel> models{model("base", 4, 1), model("a", 4, 2)};

  const Reconciled out = reconcile(models, {});

  CHECK(out.sources[0] == models[0].source);
  CHECK(out.sources[1] == models[1].source);
  CHECK(out.notes.empty());
  CHECK(out.problems.empty());
  CHECK_FALSE(out.vocab_size);
}

TEST_CASE("vocabularies that differ are an error unless a policy is named", "[merge][pitfall-4]") {
  const Reconciled out = reconcile({model("base", 4, 1), model("a", 5, 2)}, {});

  REQUIRE(out.problems.size() == 1);
  CHECK_THAT(out.problems[0], Contains("base has 4") && Contains("a has 5") &&
                                  Contains(kEmbedding) && Contains("mean_fill"));
}

TEST_CASE("vocab_policy truncate_to_base cuts what the base does not have", "[merge]") {
  const Reconciled out = reconcile({model("base", 2, 1), model("a", 4, 2)},
                                   {.vocabulary = VocabPolicy::kTruncateToBase});

  CHECK(out.problems.empty());
  CHECK(out.vocab_size == 2);
  CHECK(rows_of(out, kEmbedding) == std::vector<int64_t>{2, 2});
  CHECK(at::equal(out.sources[1]->read(kHead), at::tensor({0.f, 0.f, -2.f, -2.f}).reshape({2, 2})));
  CHECK(at::equal(out.sources[1]->read_part(kEmbedding, 1, 2), at::tensor({0.f, 2.f})));
  REQUIRE(out.notes.size() == 1);
  CHECK_THAT(out.notes[0], Contains("a: the first 2 of 4 rows"));

  const Reconciled small = reconcile({model("base", 4, 1), model("a", 2, 2)},
                                     {.vocabulary = VocabPolicy::kTruncateToBase});
  REQUIRE(small.problems.size() == 1);
  CHECK_THAT(small.problems[0], Contains("at least the 4 rows of base"));
}

TEST_CASE("vocab_policy common_submatrix keeps the rows that all have", "[merge]") {
  const Reconciled out = reconcile({model("base", 4, 1), model("a", 3, 2), model("b", 5, 3)},
                                   {.vocabulary = VocabPolicy::kCommonSubmatrix});

  CHECK(out.vocab_size == 3);
  CHECK(rows_of(out, kEmbedding) == std::vector<int64_t>{3, 3, 3});
  CHECK(rows_of(out, "layer") == std::vector<int64_t>{3, 3, 3});
}

TEST_CASE("vocab_policy mean_fill gives missing rows the mean of the model's own", "[merge]") {
  const Reconciled out =
      reconcile({model("base", 3, 1), model("a", 5, 2)}, {.vocabulary = VocabPolicy::kMeanFill});

  CHECK(out.vocab_size == 5);
  const TensorSource& base = *out.sources[0];  // rows 0, 1, 2: their mean is 1
  CHECK(at::equal(base.read(kEmbedding).select(1, 0), at::tensor({0.f, 1.f, 2.f, 1.f, 1.f})));
  CHECK(at::equal(base.read(kHead).select(1, 1), at::tensor({-0.f, -1.f, -2.f, -1.f, -1.f})));
  // Parts that begin and end anywhere.
  const at::Tensor whole = base.read(kEmbedding).flatten();
  for (int64_t first = 0; first <= 10; ++first)
    for (int64_t count = 0; first + count <= 10; ++count)
      CHECK(at::equal(base.read_part(kEmbedding, first, count), whole.narrow(0, first, count)));
  CHECK(out.sources[1] != nullptr);
  CHECK(rows_of(out, kHead) == std::vector<int64_t>{5, 5});
}

TEST_CASE("only tensors of the vocabulary's size are adjusted", "[merge]") {
  MergeModel base = model("base", 4, 1), other = model("a", 5, 2);
  other.config["vocab_size"] = 7;  // not what the tensors say

  const Reconciled out = reconcile({base, other}, {.vocabulary = VocabPolicy::kCommonSubmatrix});

  CHECK(out.sources[1] == other.source);
  CHECK(model_mismatches(*base.source, *other.source).size() == 2);
}
