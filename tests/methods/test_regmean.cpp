#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/methods/fake_evidence.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Merges the experts' only tensor, "w".
at::Tensor merge_regmean(const FakeEvidence& evidence, const Json& parameters,
                         const std::vector<at::Tensor>& experts, MergeReport* report = nullptr) {
  MergeInputs inputs = one_tensor_inputs({}, experts);
  inputs.evidence = &evidence;
  return merge("regmean", parameters, inputs, report).at("w");
}

/// "w" is a linear layer with these Gram matrices.
FakeEvidence linear_evidence(const std::vector<at::Tensor>& grams, bool in_out = false) {
  FakeEvidence evidence;
  evidence.add_linear("w", grams.front().size(0), in_out);
  for (const at::Tensor& gram : grams) evidence.statistics["input_gram"].push_back({{"w", gram}});
  return evidence;
}

/// The weights [out, in] whose outputs come closest to those of each expert on its inputs.
at::Tensor least_squares(const std::vector<at::Tensor>& inputs,
                         const std::vector<at::Tensor>& experts) {
  std::vector<at::Tensor> rows, outputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor x = inputs[i].to(at::kDouble);
    rows.push_back(x);
    outputs.push_back(x.mm(experts[i].to(at::kDouble).t()));
  }
  return std::get<0>(at::linalg_lstsq(at::cat(rows), at::cat(outputs))).t();
}

}  // namespace

TEST_CASE("G10: RegMean", "[methods][golden]") {
  const FakeEvidence evidence = linear_evidence(
      {at::tensor({2.0, 1.0, 1.0, 3.0}).reshape({2, 2}), at::diag(at::tensor({1.0, 2.0}))});
  const std::vector<at::Tensor> experts{at::tensor({1.0f, 2.0f, 0.0f, 1.0f}).reshape({2, 2}),
                                        at::tensor({0.0f, 1.0f, 1.0f, 1.0f}).reshape({2, 2})};
  const auto merged = [&](double alpha) {
    return merge_regmean(evidence, {{"alpha", alpha}}, experts).t();
  };
  const auto expected = [](double a, double b, double c, double d) {
    return at::tensor({a, b, c, d}).reshape({2, 2});
  };

  CHECK(distance(merged(1), expected(.7857142857, .3571428571, 1.6428571429, .9285714286)) < 1e-6);
  CHECK(distance(merged(.5), expected(.7288135593, .3389830508, 1.6271186441, .9661016949)) < 1e-6);
  CHECK(distance(merged(0), expected(.6666666667, .3333333333, 1.6, 1)) < 1e-6);
}

TEST_CASE("RegMean is the least-squares fit to the experts' outputs", "[methods]") {
  const std::vector<at::Tensor> inputs{noise({50, 6}, 1), noise({50, 6}, 2) + .5f};
  const std::vector<at::Tensor> experts{noise({600, 6}, 3), noise({600, 6}, 4)};
  const at::Tensor expected = least_squares(inputs, experts);
  const std::vector<at::Tensor> grams{gram_of(inputs[0]), gram_of(inputs[1])};

  MergeReport report;
  CHECK(distance(merge_regmean(linear_evidence(grams), {{"alpha", 1}}, experts, &report),
                 expected) < 1e-6);
  CHECK(report.diagnostics.at("ridge") == 0);
  // As GPT-2 stores it.
  const std::vector<at::Tensor> transposed{experts[0].t().contiguous(),
                                           experts[1].t().contiguous()};
  CHECK(distance(merge_regmean(linear_evidence(grams, true), {{"alpha", 1}}, transposed),
                 expected.t()) < 1e-6);
  // A weight counts as often as an expert that comes twice.
  CHECK(
      distance(merge_regmean(linear_evidence(grams), {{"alpha", 1}, {"weights", {2, 1}}}, experts),
               least_squares({inputs[0], inputs[0], inputs[1]},
                             {experts[0], experts[0], experts[1]})) < 1e-6);
}

TEST_CASE("RegMean counts inputs as correlated within blocks", "[methods]") {
  // Five inputs in blocks of two: the last one is of one input.
  const std::vector<at::Tensor> experts{noise({4, 5}, 3), noise({4, 5}, 4)};
  FakeEvidence evidence;
  evidence.add_linear("w", 5);
  for (uint64_t i = 0; i < 2; ++i) {
    const at::Tensor gram = gram_of(noise({30, 5}, 10 + i));
    at::Tensor blocks = at::zeros({3, 2, 2}, at::kDouble), diagonal = at::zeros_like(gram);
    for (int64_t k = 0; k < 3; ++k) {
      const int64_t count = k < 2 ? 2 : 1;
      const auto piece = [&](const at::Tensor& of) {
        return of.narrow(0, 2 * k, count).narrow(1, 2 * k, count);
      };
      piece(diagonal).copy_(piece(gram));
      blocks[k].narrow(0, 0, count).narrow(1, 0, count).copy_(piece(gram));
    }
    evidence.statistics["input_gram"].push_back({{"w", diagonal}});
    evidence.statistics["block_gram"].push_back({{"w", blocks}});
  }
  for (const double alpha : {1.0, .5})
    CHECK(distance(merge_regmean(evidence, {{"alpha", alpha}, {"block", 2}}, experts),
                   merge_regmean(evidence, {{"alpha", alpha}}, experts)) < 1e-6);

  for (size_t i = 0; i < 2; ++i)
    evidence.statistics["block_gram"][i]["w"] =
        evidence.statistics["input_gram"][i]["w"].diagonal().reshape({5, 1, 1});
  CHECK(distance(merge_regmean(evidence, {{"block", 1}}, experts),
                 merge_regmean(evidence, {{"alpha", 0}}, experts)) < 1e-6);
  CHECK_THROWS_WITH(merge_regmean(evidence, {{"block", 2}}, experts),
                    Contains("expert 0") && Contains("[5, 1, 1]") && Contains("[3, 2, 2]"));
}

TEST_CASE("RegMean fits a convolution to its unfolded inputs", "[methods]") {
  std::vector<at::Tensor> unfolded, experts;
  FakeEvidence evidence;
  evidence.layers["w"] = {
      .weight = "w", .kind = LayerKind::kConvolution, .inputs = 12, .input = "w"};
  for (uint64_t i = 0; i < 2; ++i) {
    const at::Tensor images = noise({4, 3, 5, 5}, i);
    experts.push_back(noise({7, 3, 2, 2}, 10 + i));
    unfolded.push_back(
        at::im2col(images, {2, 2}, {1, 1}, {0, 0}, {1, 1}).transpose(1, 2).reshape({-1, 12}));
    evidence.statistics["input_gram"].push_back({{"w", gram_of(unfolded.back())}});
  }

  const at::Tensor expected =
      least_squares(unfolded, {experts[0].flatten(1), experts[1].flatten(1)});
  CHECK(distance(merge_regmean(evidence, {{"alpha", 1}}, experts), expected.reshape({7, 3, 2, 2})) <
        1e-6);
}

TEST_CASE("RegMean keeps the mean where the data say nothing", "[methods][pitfall-8]") {
  // The second input is 0 in all examples; the experts agree about nothing.
  at::Tensor first = noise({20, 3}, 1), second = noise({20, 3}, 2);
  first.select(1, 1).zero_();
  second.select(1, 1).zero_();
  const std::vector<at::Tensor> experts{noise({4, 3}, 3), noise({4, 3}, 4)};
  MergeReport report;
  const at::Tensor merged = merge_regmean(linear_evidence({gram_of(first), gram_of(second)}),
                                          {{"alpha", 1}}, experts, &report);

  const at::Tensor live = at::tensor({0, 2}, at::kLong), mean = (experts[0] + experts[1]) / 2;
  const auto lived = [&](const at::Tensor& tensor) { return tensor.index_select(1, live); };
  CHECK(distance(merged.select(1, 1), mean.select(1, 1)) < 1e-7);
  CHECK(distance(lived(merged), least_squares({lived(first), lived(second)},
                                              {lived(experts[0]), lived(experts[1])})) < 1e-6);
  CHECK(report.diagnostics.at("dead_inputs").get<double>() == Approx(1.0 / 3));
}

TEST_CASE("RegMean counts an expert whose layer no token reached not at all", "[methods]") {
  const std::vector<at::Tensor> experts{noise({4, 3}, 3), noise({4, 3}, 4)};
  FakeEvidence evidence = linear_evidence({gram_of(noise({20, 3}, 1)), at::eye(3)});
  evidence.statistics["input_gram"][1].clear();
  CHECK(distance(merge_regmean(evidence, Json::object(), experts), experts[0]) < 1e-6);
  evidence.statistics["input_gram"][0].clear();
  CHECK(distance(merge_regmean(evidence, Json::object(), experts), (experts[0] + experts[1]) / 2) <
        1e-7);
}

TEST_CASE("RegMean with fewer examples than inputs", "[methods]") {
  // One example each: the Gram matrices are of rank 1, their sum of rank 2.
  const std::vector<at::Tensor> inputs{noise({1, 5}, 1), noise({1, 5}, 2)};
  const std::vector<at::Tensor> experts{noise({3, 5}, 3), noise({3, 5}, 4)};
  MergeReport report;
  const at::Tensor merged = merge_regmean(linear_evidence({gram_of(inputs[0]), gram_of(inputs[1])}),
                                          {{"alpha", 1}}, experts, &report);

  CHECK(report.diagnostics.at("ridge").get<double>() >= 1e-6);
  for (size_t i = 0; i < 2; ++i)
    CHECK(distance(inputs[i].mm(merged.t()), inputs[i].mm(experts[i].t())) < 1e-4);
  const at::Tensor mean = (experts[0] + experts[1]) / 2;
  const at::Tensor unseen = noise({1, 5}, 7);
  const at::Tensor seen = at::cat(inputs);
  const at::Tensor projected = unseen - unseen.mm(at::linalg_pinv(seen)).mm(seen);
  CHECK(distance(projected.mm(merged.t()), projected.mm(mean.t())) < 1e-4);
}

TEST_CASE("RegMean gives copies of an expert that expert, whatever the data", "[methods]") {
  const at::Tensor expert = noise({8, 5}, 3);
  const FakeEvidence evidence =
      linear_evidence({gram_of(noise({2, 5}, 1)), gram_of(noise({2, 5}, 2))});

  for (const double alpha : {0.0, 0.9, 1.0})
    CHECK(at::equal(merge_regmean(evidence, {{"alpha", alpha}}, {expert, expert}), expert));
}

TEST_CASE("RegMean gives the same bytes on any number of threads", "[methods]") {
  constexpr int64_t kInputs = 700, kOutputs = 1100;
  const FakeEvidence evidence =
      linear_evidence({gram_of(noise({900, kInputs}, 1)), gram_of(noise({900, kInputs}, 2))});
  const std::vector<at::Tensor> experts{noise({kOutputs, kInputs}, 3),
                                        noise({kOutputs, kInputs}, 4)};
  at::Tensor expected;
  for (const int threads : {1, 2, 4}) {
    const Threads several(threads);
    const at::Tensor merged = merge_regmean(evidence, Json::object(), experts);
    if (!expected.defined()) expected = merged;
    CHECK(at::equal(merged, expected));
  }
}

TEST_CASE("RegMean leaves what is no layer to another method", "[methods]") {
  const FakeEvidence evidence;
  const std::vector<at::Tensor> experts{at::tensor({1.0f, 2.0f}), at::tensor({4.0f, 4.0f})};

  CHECK(at::equal(merge_regmean(evidence, Json::object(), experts), at::tensor({2.5f, 3.0f})));
  const Json linear{{"method", "linear"}, {"weights", {3, 1}}};
  CHECK(
      at::equal(merge_regmean(evidence, {{"others", linear}}, experts), at::tensor({1.75f, 2.5f})));
}

TEST_CASE("RegMean's other method sees parts and the other tensors alone", "[methods]") {
  // TIES keeps the largest magnitudes of a whole model: those of the layer "a" must not count.
  FakeEvidence evidence;
  evidence.add_linear("a", 2);
  evidence.statistics["input_gram"] = {{{"a", at::eye(2)}}, {{"a", at::eye(2)}}};
  const int64_t size = kPartElements + 1000;
  StateDict base{{"a", at::zeros({2, 2})}, {"b", noise({size}, 1)}};
  MergeInputs whole, others;
  whole.evidence = others.evidence = &evidence;
  whole.base = source("base", base);
  others.base = source("base", {{"b", base.at("b")}});
  for (uint64_t i = 0; i < 2; ++i) {
    const at::Tensor b = base.at("b") + noise({size}, 2 + i);
    whole.experts.push_back(source("expert", {{"a", at::full({2, 2}, 100.0f)}, {"b", b}}));
    others.experts.push_back(source("expert", {{"b", b}}));
  }
  const Json ties{{"method", "ties"}, {"density", .3}, {"trim.scope", "model"}};
  const StateDict merged = merge("regmean", {{"others", ties}}, whole);
  CHECK(distance(merged.at("a"), at::full({2, 2}, 100.0f)) < 1e-4);
  const Json parameters{{"density", .3}, {"trim.scope", "model"}};
  CHECK(at::equal(merged.at("b"), merge("ties", parameters, others).at("b")));

  // It draws what it would draw alone.
  CHECK(at::equal(merge("regmean", {{"others", "dare"}}, whole).at("b"),
                  merge("dare", Json::object(), others).at("b")));
  // A merge per task has no place in one model.
  CHECK_THROWS_WITH(merge("regmean", {{"others", "emr"}}, whole),
                    Contains("'others' is emr") && Contains("makes other models"));
}

TEST_CASE("RegMean fits heads only when it is told to", "[methods]") {
  for (const auto* name : {"lm_head.weight", "classifier.out_proj.weight", "head.weight"}) {
    FakeEvidence evidence;
    evidence.add_linear(name, 2);
    evidence.statistics["input_gram"] = {{{name, at::diag(at::tensor({3.0f, 1.0f}))}},
                                         {{name, at::diag(at::tensor({1.0f, 1.0f}))}}};
    MergeInputs inputs;
    inputs.evidence = &evidence;
    inputs.experts = {source("one", {{name, at::ones({1, 2})}}),
                      source("two", {{name, at::zeros({1, 2})}})};
    const at::Tensor mean = at::full({1, 2}, .5f);
    const at::Tensor fit = at::tensor({.75f, .5f}).reshape({1, 2});
    CHECK(at::equal(merge("regmean", Json::object(), inputs).at(name), mean));
    CHECK(distance(merge("regmean", {{"heads", "fit"}}, inputs).at(name), fit) < 1e-6);
    // A layer of a block is no head, whatever its name.
    evidence.layers.at(name).block = 0;
    CHECK(distance(merge("regmean", Json::object(), inputs).at(name), fit) < 1e-6);
  }
}

TEST_CASE("RegMean refuses statistics of another shape and what is no Gram matrix", "[methods]") {
  const std::vector<at::Tensor> experts{noise({4, 3}, 3), noise({4, 3}, 4)};
  const at::Tensor good = gram_of(noise({9, 3}, 1));

  CHECK_THROWS_WITH(merge_regmean(linear_evidence({good, at::eye(2)}), Json::object(), experts),
                    Contains("expert 1") && Contains("[2, 2]") && Contains("[3, 3]"));
  const at::Tensor no_gram = at::tensor({1.0, 9.0, 9.0, 9.0, 1.0, 9.0, 9.0, 9.0, 1.0});
  CHECK_THROWS_WITH(
      merge_regmean(linear_evidence({no_gram.reshape({3, 3}), no_gram.reshape({3, 3})}),
                    {{"alpha", 1}}, experts),
      Contains("'w'") && Contains("no Gram matrix"));
}
