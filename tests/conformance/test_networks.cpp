// What holds for every registered method and preset on networks with data: with the statistics,
// layers and gradients that it gets in a sweep.
#include "harness/core/error.h"
#include "harness/model/forward.h"
#include "harness/model/routed.h"
#include "tests/catch.h"
#include "tests/conformance/contracts.h"
#include "tests/conformance/networks.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> refs_with_data() {
  std::vector<std::string> refs;
  for (const std::string& ref : all_refs())
    if (needs_data(make_method(ref, JsonReader(Json::object(), "test"))->needs()))
      refs.push_back(ref);
  return refs;
}

/// The result is the weights of a network that its config names, and gives finite scores.
void check_runs(const Architecture& architecture, const StateDict& merged,
                const CalibrationData& data) {
  const StateDict weights =
      load_weights(architecture, *source("the result", merged), at::kCPU, at::kFloat);
  const ModelBatch batch = data.batch(0, 3);
  // Of a routed ensemble a row is a prompt.
  const bool routed = dynamic_cast<const RoutedArchitecture*>(&architecture) != nullptr;
  const at::Tensor scores = routed ? architecture.logits(weights, batch.inputs)
                                   : row_logits(architecture, weights, batch);
  CHECK(scores.isfinite().all().item<bool>());
}

}  // namespace

TEST_CASE("every method makes networks of the form that it declares", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  const Json parameters = quick_parameters(ref);
  for (const Networks& networks : networks_for(ref)) {
    CAPTURE(ref, networks.name);
    const MergeInputs inputs = network_inputs(ref, networks);
    const Results results = merge_networks(ref, parameters, networks);
    check_planned(ref, inputs, results);
    const auto plan = plan_of(*make_method(ref, JsonReader(parameters, "test")), inputs);
    const std::shared_ptr<const Architecture> architecture =
        plan ? make_architecture(JsonReader(plan->config, "the plan")) : networks.architecture;
    for (const StateDict& merged : results)
      check_runs(*architecture, merged, *networks.data.front());
  }
}

TEST_CASE("every method returns the network that all experts are", "[conformance]") {
  const auto name = GENERATE(from_range(tested_methods()));
  const MethodInfo& info = entry_of(name).info;
  if (info.identity.empty()) return;  // it declares none
  for (Networks networks : networks_for(name)) {
    CAPTURE(name, networks.name);
    networks.experts.assign(identical_experts(name), networks.experts.front());
    check_expert(*networks.experts.front(),
                 merge_networks(name, Json::parse(info.identity), networks));
  }
}

TEST_CASE("every method gives the same networks on any number of threads", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  const Json parameters = quick_parameters(ref);
  for (const Networks& networks : networks_for(ref)) {
    CAPTURE(ref, networks.name);
    Results first;
    for (const int count : {1, 2, 4}) {
      const Threads threads(count);
      const Results results = merge_networks(ref, parameters, networks);
      if (count == 1) first = results;
      CHECK(same_results(ref, results, first));
    }
  }
}

TEST_CASE("every method that looks at data merges by statistics alone, or says that it cannot",
          "[conformance]") {
  const auto refs = refs_with_data();
  if (refs.empty()) return;  // one method is tested, and it looks at none
  const auto ref = GENERATE_COPY(from_range(refs));
  const Json parameters = quick_parameters(ref);
  const bool has_statistics =
      !make_method(ref, JsonReader(parameters, "test"))->statistics().empty();
  for (const Networks& networks : networks_for(ref)) {
    CAPTURE(ref, networks.name);
    try {
      const Results alone =
          merge_networks(ref, parameters, networks, NetworkEvidence::Of::kStatisticsAlone);
      CHECK(has_statistics);
      CHECK(same_results(ref, alone, merge_networks(ref, parameters, networks)));
    } catch (const UserError& error) {
      CHECK_THAT(error.what(), Contains("statistics only"));
    }
  }
}
