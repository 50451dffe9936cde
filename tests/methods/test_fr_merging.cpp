// FR-Merging on waves whose frequencies are known.
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

namespace {

constexpr int64_t kSide = 4;

/// +1 and -1 in turns along both sides: the highest frequency there is.
at::Tensor checkers() {
  const at::Tensor i = at::arange(kSide);
  return 1 - 2 * (i.unsqueeze(1) + i.unsqueeze(0)).remainder(2).to(at::kFloat);
}

at::Tensor filtered(const std::vector<at::Tensor>& deltas, const Json& parameters) {
  const at::Tensor base = noise({kSide, kSide}, 1);
  std::vector<at::Tensor> experts;
  for (const at::Tensor& delta : deltas) experts.push_back(base + delta);
  Json all = parameters;
  all["of"] = {{"method", "task_arithmetic"}, {"scale", 1}};
  return merge("fr_merging", all, one_tensor_inputs(base, experts)).at("w") - base;
}

}  // namespace

TEST_CASE("a constant is removed, the highest frequency stays", "[methods]") {
  const at::Tensor constant = at::full({kSide, kSide}, 3.0f);
  CHECK(distance(filtered({constant}, Json::object()), at::zeros_like(constant)) < 1e-5);
  CHECK(distance(filtered({constant + 2 * checkers()}, Json::object()), 2 * checkers()) < 1e-5);
  // The constant lies at a distance of sqrt(8), 0.7072 of a side.
  CHECK(distance(filtered({constant}, {{"cutoff", 0.7072}}), constant) < 1e-5);
  // Waves along one side lie at a distance of two: half a side.
  const at::Tensor rows = checkers().narrow(0, 0, 1).expand({kSide, kSide}).contiguous();
  CHECK(distance(filtered({rows}, {{"cutoff", 0.5}}), rows) < 1e-5);
  CHECK(distance(filtered({rows}, {{"cutoff", 0.49}}), at::zeros_like(rows)) < 1e-5);
}

TEST_CASE("aligned experts have the largest one's magnitude", "[methods]") {
  // Magnitudes of 3 and 1 once the constants are gone; aligned, 3 and 3.
  const std::vector<at::Tensor> deltas{3 * checkers(), checkers() + 5,
                                       at::full({kSide, kSide}, 9.0f)};
  CHECK(distance(filtered(deltas, Json::object()), 4 * checkers()) < 1e-5);
  CHECK(distance(filtered({deltas[0], deltas[1]}, {{"align", true}}), 6 * checkers()) < 1e-5);
}
