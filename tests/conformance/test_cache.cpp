// A cache that merges share changes no result, whatever the method.
#include "tests/catch.h"
#include "tests/conformance/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("every method gives the same bytes with and without a cache", "[conformance]") {
  const auto ref = GENERATE(from_range(all_refs()));
  CAPTURE(ref);
  const MergeInputs inputs = mixed_inputs(ref);
  MergeInputs reversed = inputs, other_seed = inputs, other_expert = inputs;
  std::reverse(reversed.experts.begin(), reversed.experts.end());
  other_seed.seed = 43;
  other_expert.experts.front() = source("another", model_for(ref, 9));

  MergeCache cache;
  const std::vector<MergeInputs> merges{inputs, reversed, other_seed, other_expert, inputs};
  for (const MergeInputs& alone : merges) {
    MergeInputs cached = alone;
    cached.cache = &cache;
    CHECK(same_results(ref, merge_all(ref, Json::object(), cached),
                       merge_all(ref, Json::object(), alone)));
  }
}
