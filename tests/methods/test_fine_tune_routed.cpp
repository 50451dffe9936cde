// Training of routed ensembles.
#include <set>

#include "harness/core/error.h"
#include "harness/model/routed.h"
#include "tests/catch.h"
#include "tests/conformance/networks.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

/// Decoders of widths 8 and 4, with data; the base is the first of them.
Networks decoders_of_two_widths() {
  Networks made = decoders();
  Json narrow = made.architecture->config();
  const auto width = made.architecture->config().at("hidden_size").get<int64_t>();
  narrow["hidden_size"] = width / 2;
  narrow["num_hidden_layers"] = 1;
  made.base = source("wide", language(made.architecture->config())->initial_weights(1));
  made.experts = {made.base, source("narrow", language(narrow)->initial_weights(2))};
  made.data.resize(2);
  return made;
}

MergeInputs inputs_of(const Networks& networks) {
  MergeInputs inputs;
  inputs.seed = 42;
  inputs.experts = networks.experts;
  inputs.config = networks.architecture->config();
  Json narrow = inputs.config;
  narrow["hidden_size"] = inputs.config.at("hidden_size").get<int64_t>() / 2;
  narrow["num_hidden_layers"] = 1;
  inputs.expert_configs = {inputs.config, narrow};
  return inputs;
}

const Networks& shared_networks() {
  static const Networks networks = decoders_of_two_widths();
  return networks;
}

/// The heterogeneous form of two widths, trained on real calibration data.
StateDict tuned_ensemble(Json of, Json parameters, MergeReport* report = nullptr,
                         uint64_t seed = 42) {
  static const NetworkEvidence evidence(shared_networks());
  MergeInputs inputs = inputs_of(shared_networks());
  inputs.seed = seed;
  inputs.evidence = &evidence.get();
  of["method"] = "routed_ensemble";
  of["mix"] = "hidden";
  parameters["of"] = std::move(of);
  return merge("fine_tune", parameters, inputs, report);
}

std::set<std::string> changed(const StateDict& before, const StateDict& after) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : after)
    if (!at::equal(tensor, before.at(name))) names.insert(name);
  return names;
}

}  // namespace

TEST_CASE("without tokens a routed ensemble stays as it is, bit for bit",
          "[methods][moe][routed]") {
  const Json of = GENERATE(as<Json>(), Json("routed_ensemble"), Json("routed_ensemble@mergeme"),
                           Json("routed_ensemble@mergeme_merged_attention"),
                           Json("routed_ensemble@mergeme_gradient"),
                           Json("routed_ensemble@mergeme_heterogeneous"));
  CAPTURE(of.dump());
  MergeInputs inputs = small_models(3);
  inputs.evidence = &mixture_evidence();
  MergeReport plain, report;
  const StateDict wanted = merge(of.get<std::string>(), Json::object(), inputs, &plain);
  CHECK(same_bytes(merge("fine_tune", {{"of", of}, {"tokens", 0}}, inputs, &report), wanted));
  CHECK(report.config == plain.config);
}

TEST_CASE("without tokens the heterogeneous form stays as it is, bit for bit",
          "[methods][moe][routed]") {
  MergeInputs inputs = inputs_of(decoders_of_two_widths());
  MergeReport plain, report;
  const StateDict wanted =
      merge("routed_ensemble@mergeme_heterogeneous", Json::object(), inputs, &plain);
  inputs.evidence = &mixture_evidence();
  const StateDict found =
      merge("fine_tune@mergeme_heterogeneous", {{"tokens", 0}}, inputs, &report);
  CHECK(same_bytes(found, wanted));
  CHECK(report.config == plain.config);
}

TEST_CASE("a first step moves the members of a toy ensemble by the learning rate",
          "[methods][moe][routed]") {
  // Scores of three classes, whatever the input: the sum of both members'. Class 0 is true.
  FakeEvidence evidence;
  evidence.of_network = std::make_shared<FakeNetwork>(
      std::vector<int64_t>{2, 2},
      [](const StateDict& weights, size_t, int64_t, int64_t count) {
        return (weights.at("members.0.w") + weights.at("members.1.w")).expand({count, 3});
      },
      [](size_t, int64_t, int64_t count) { return at::zeros({count}, at::kLong); });
  MergeInputs inputs =
      one_tensor_inputs({}, {at::tensor({1.f, 2.f, 3.f}), at::tensor({6.f, 5.f, 4.f})});
  inputs.config = Json::object();
  inputs.evidence = &evidence;
  const StateDict made = merge(
      "fine_tune",
      {{"of", "routed_ensemble"}, {"tokens", 2}, {"learning_rate", 0.25}, {"weight_decay", 0}},
      inputs);
  CHECK(distance(made.at("members.0.w"), at::tensor({1.25f, 1.75f, 2.75f})) <= 1e-5);
  CHECK(distance(made.at("members.1.w"), at::tensor({6.25f, 4.75f, 3.75f})) <= 1e-5);
}

TEST_CASE("training lowers the loss of experts of two widths, the same on any number of threads",
          "[methods][moe][routed]") {
  const Json of{{"router", "uniform"}};
  const Json parameters{{"tokens", 300}, {"learning_rate", 0.01}};
  MergeReport report;
  const StateDict one = tuned_ensemble(of, parameters, &report);
  CHECK(report.diagnostics.at("loss_last").get<double>() <
        0.5 * report.diagnostics.at("loss_first").get<double>());
  const Threads threads(2);
  CHECK(same_bytes(tuned_ensemble(of, parameters), one));
}

TEST_CASE("what lies around hidden states is trained, and members' own embeddings are not",
          "[methods][moe][routed]") {
  const Json of{{"router", "uniform"}};
  const StateDict before = tuned_ensemble(of, {{"tokens", 0}});
  const std::set<std::string> all = changed(before, tuned_ensemble(of, {{"tokens", 9}}));
  for (const char* name :
       {"embedding.weight", "head.weight", "projectors.0.in.weight", "projectors.1.out.weight",
        "members.0.model.norm.weight", "members.1.model.layers.0.mlp.up_proj.weight"})
    CHECK(all.contains(name));
  for (const char* name : {"members.0.model.embed_tokens.weight", "members.1.lm_head.weight"})
    CHECK_FALSE(all.contains(name));
  CHECK(changed(before, tuned_ensemble(of, {{"tokens", 9}, {"train", {"projectors.*"}}})) ==
        std::set<std::string>{"projectors.0.in.weight", "projectors.0.out.weight",
                              "projectors.1.in.weight", "projectors.1.out.weight"});
}

TEST_CASE("an example trains the members that its prompt decides for", "[methods][moe][routed]") {
  const Json of{{"router", "random"}, {"top_k", 1}, {"opening", 1}};
  size_t with_one = 0;
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    MergeReport report;
    const StateDict before = tuned_ensemble(of, {{"tokens", 0}}, &report, seed);
    const auto trained =
        changed(before, tuned_ensemble(of, {{"tokens", 1}, {"batch", 1}}, nullptr, seed));
    const auto any = make_architecture(JsonReader(*report.config, "test"));
    const auto& routed = dynamic_cast<const RoutedArchitecture&>(*any);
    std::vector<double> chosen{0, 0};
    for (const auto& data : shared_networks().data) {  // the first example of each expert
      const ModelBatch batch = data->batch(0, 1);
      const int64_t prompt = 1 + batch.scored[0].to(at::kInt).argmax().item<int64_t>();
      const at::Tensor ids = batch.inputs[0].narrow(0, 0, prompt).contiguous();
      const int64_t* first = ids.const_data_ptr<int64_t>();
      const std::vector<double> shares = routed.decide(before, TokenIds(first, first + prompt));
      for (size_t i = 0; i < 2; ++i) chosen[i] += shares[i];
    }
    for (size_t i = 0; i < 2; ++i) {
      const std::string norm = fmt::format("members.{}.model.norm.weight", i);
      CHECK(trained.contains(norm) == (chosen[i] > 0));
    }
    CHECK_FALSE(trained.contains("router.rows.weight"));
    with_one += chosen[0] * chosen[1] == 0 ? 1 : 0;
  }
  CHECK(with_one > 0);  // else nothing is tested
}

TEST_CASE("fine_tune of a routed ensemble says what it needs and what it does not take",
          "[methods][moe][routed]") {
  const auto needs = [](const Json& parameters) {
    return make_method("fine_tune", JsonReader(parameters, "test"))->needs();
  };
  const Json hidden{{"method", "routed_ensemble"}, {"mix", "hidden"}};
  CHECK_FALSE(needs({{"of", hidden}}).same_shapes);
  CHECK(needs({{"of", hidden}}).tokenizer);
  CHECK(needs({{"of", "routed_ensemble@mergeme"}}).same_shapes);
  CHECK(needs({{"of", "moe"}}).same_shapes);
  for (const char* name : {"router_tokens", "balance", "routing"})
    CHECK_THROWS_WITH(needs({{"of", "routed_ensemble"}, {name, 1}}),
                      Contains("routed ensemble") && Contains(name));
}
