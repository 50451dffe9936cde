// What holds for every registered router, whatever it does.
#include "harness/kernels/dtype/convert.h"
#include "harness/method/router.h"
#include "tests/catch.h"
#include "tests/conformance/networks.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

StateDict mixture_of(const std::string& router, uint64_t seed = 42) {
  static const Networks networks = decoders();
  static const NetworkEvidence evidence(networks);
  MergeInputs inputs;
  inputs.seed = seed;
  inputs.config = networks.architecture->config();
  inputs.base = networks.base;
  inputs.experts = networks.experts;
  inputs.evidence = &evidence.get();
  return merge("moe", {{"router", router}}, inputs);
}

}  // namespace

TEST_CASE("every router says what it is", "[conformance][routers]") {
  const auto name = GENERATE(from_range(routers().names()));
  CAPTURE(name);
  const RouterEntry& entry = routers().at(name, "test");
  CHECK(entry.info.name == name);
  CHECK(entry.info.version >= 1);
  CHECK_FALSE(entry.info.summary.empty());
  CHECK_THAT(std::string(entry.info.paper), Contains("arXiv:") || Contains("https://"));
  for (const ParamDoc& parameter : entry.parameters) {
    CAPTURE(parameter.name);
    CHECK_FALSE(parameter.help.empty());
    // As a component, the router has these keys besides its parameters.
    CHECK((parameter.name != "router" && parameter.name != "version"));
    for (const Json& value : parameter.sweep)
      CHECK_NOTHROW(entry.make(JsonReader(Json{{parameter.name, value}}, "test")));
  }
  RouterComponent component(name);
  const Json stored = component.to_json();
  component.read(JsonReader(stored, "test"));
  CHECK(component.to_json() == stored);
}

TEST_CASE("every router makes a finite gate for every block, on any number of threads",
          "[conformance][routers]") {
  const auto name = GENERATE(from_range(routers().names()));
  CAPTURE(name);
  StateDict first;
  for (const int count : {1, 2, 4}) {
    const Threads threads(count);
    const StateDict made = mixture_of(name);
    if (count == 1) first = made;
    CHECK(same_bytes(made, first));
  }
  for (const int block : {0, 1}) {
    const at::Tensor& gate =
        first.at(fmt::format("model.layers.{}.block_sparse_moe.gate.weight", block));
    CHECK(gate.sizes() == at::IntArrayRef({3, 8}));
    CHECK(count_nonfinite(gate) == 0);
  }
}

TEST_CASE("every router depends on the seed just when it says so", "[conformance][routers]") {
  const auto name = GENERATE(from_range(routers().names()));
  CAPTURE(name);
  CHECK(same_bytes(mixture_of(name, 1), mixture_of(name, 2)) ==
        !routers().at(name, "test").info.randomized);
}
