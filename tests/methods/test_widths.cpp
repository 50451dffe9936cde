// How wide partial merges become within a budget of operations.
#include "methods/permute/widths.h"

#include "harness/core/error.h"
#include "methods/permute/partial.h"
#include "tests/calibration/toy_task.h"
#include "tests/catch.h"
#include "tests/methods/permuted_networks.h"

using namespace assay;
using namespace assay::testing;

namespace {

/// Groups and shapes of a network, and what its partial merge with another takes.
struct Widths {
  explicit Widths(const Json& config, size_t models = 2)
      : architecture(make_architecture(JsonReader(config, "test"))),
        reference(source("model", architecture->initial_weights(1))),
        evidence(EvidenceSources{.architecture = architecture,
                                 .reference = reference,
                                 .experts = models,
                                 .statistic = nullptr,
                                 .data = nullptr}) {
    std::vector<std::string> names;
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const TensorInfo& info : reference->tensors()) {
      names.push_back(info.name);
      shapes[info.name] = info.shape;
    }
    groups = UnitGroups(names, evidence, /*streams=*/true, "test");
    flops.emplace(groups, evidence, shapes, models);
  }
  std::vector<int64_t> at(Allocation allocation, double budget) const {
    return separate_by_flops(groups, *flops, allocation, budget);
  }
  /// The sum over groups of the shares that are kept side by side.
  double shares(const std::vector<int64_t>& counts) const {
    double sum = 0;
    for (size_t i = 0; i < counts.size(); ++i)
      sum += static_cast<double>(counts[i]) / static_cast<double>(groups.units(i));
    return sum;
  }

  std::shared_ptr<const Architecture> architecture;
  std::shared_ptr<const TensorSource> reference;
  CalibrationEvidence evidence;
  UnitGroups groups;
  std::optional<PartialFlops> flops;
};

const Json kTwoLayers{{"model_type", "mlp"}, {"inputs", 6}, {"hidden", 16}, {"classes", 3}};

}  // namespace

TEST_CASE("a partial merge takes what its layers' shares say", "[methods][permute][widths]") {
  const Widths mlp(kTwoLayers);
  REQUIRE(mlp.groups.size() == 1);
  // Each of its layers has units on one side: 1 + share.
  CHECK(mlp.flops->of({0}) == 1);
  CHECK(mlp.flops->of({8}) == Approx(1.5));
  CHECK(mlp.flops->of({16}) == Approx(2));
  CHECK(Widths(kTwoLayers, 3).flops->of({16}) == Approx(3));

  // A layer between two groups: (1 - b)(1 + a) + 2 b, where positions of images count.
  const Widths resnet(kResNet);
  std::vector<int64_t> all;
  for (const PermutationGroup& group : resnet.groups.groups()) all.push_back(group.units);
  CHECK(resnet.flops->of(all) == Approx(2));
  const std::vector<int64_t> none(all.size(), 0);
  std::vector<int64_t> half = none;
  // The units within the first block: 3x3 convolutions of 4 channels before and after them, of
  // 36 * 4 * 64 each. All layers are
  const double block = 2 * 4 * 9 * 4 * 64, stem = 9 * 4 * 64,
               second = (4 * 9 * 8 + 8 * 9 * 8 + 4 * 8) * 16,
               third = (8 * 9 * 16 + 16 * 9 * 16 + 8 * 16) * 4, head = 16 * 3;
  const size_t inner = *resnet.groups.of_axis("layer1.0.conv1.weight", 0);
  half[inner] = 2;
  CHECK(resnet.flops->of(half) == Approx(1 + 0.5 * block / (block + stem + second + third + head)));
}

TEST_CASE("widths keep to a budget, and no unit more fits", "[methods][permute][widths]") {
  const Widths mlp(kTwoLayers);
  CHECK(mlp.at(Allocation::kUniform, 1.5) == std::vector<int64_t>{8});
  CHECK(mlp.at(Allocation::kGreedy, 1.5) == std::vector<int64_t>{8});
  CHECK(mlp.at(Allocation::kZip, 1.5) == std::vector<int64_t>{0});
  CHECK(mlp.at(Allocation::kZip, 2) == std::vector<int64_t>{16});

  const Widths resnet(kResNet);
  for (const double budget : {1.0, 1.1, 1.4, 1.8, 2.0}) {
    CAPTURE(budget);
    const auto greedy = resnet.at(Allocation::kGreedy, budget);
    for (const Allocation allocation : {Allocation::kUniform, Allocation::kZip}) {
      const auto counts = resnet.at(allocation, budget);
      CHECK(resnet.flops->of(counts) <= budget + 1e-6);
      CHECK(resnet.shares(greedy) >= resnet.shares(counts) - 1e-9);
    }
    CHECK(resnet.flops->of(greedy) <= budget + 1e-6);
    for (size_t i = 0; i < greedy.size(); ++i) {
      std::vector<int64_t> more = greedy;
      if (++more[i] <= resnet.groups.units(i)) CHECK(resnet.flops->of(more) > budget);
    }
  }
  CHECK(resnet.shares(resnet.at(Allocation::kGreedy, 2)) ==
        Approx(static_cast<double>(resnet.groups.size())));
}

TEST_CASE("a ratio says how many units, or how many groups, stay apart",
          "[methods][permute][widths]") {
  const Widths resnet(kResNet);
  const auto zip = separate_by_ratio(resnet.groups, Allocation::kZip, 0.5);
  size_t apart = 0;
  for (size_t i = 0; i < zip.size(); ++i) {
    CHECK((zip[i] == 0 || zip[i] == resnet.groups.units(i)));
    if (zip[i] > 0) ++apart;
    if (i > 0) CHECK((zip[i] > 0) >= (zip[i - 1] > 0));  // the last ones
  }
  CHECK(apart == resnet.groups.size() / 2);
}

TEST_CASE("ratio and budget exclude each other", "[methods][permute][widths]") {
  const auto make = [](const Json& parameters) {
    return make_method("pleas", JsonReader(parameters, "test"));
  };
  CHECK_NOTHROW(make({{"budget", 1.5}, {"allocation", "greedy"}}));
  CHECK_THROWS_WITH(make({{"budget", 1.5}, {"ratio", 0.5}}),
                    Catch::Matchers::Contains("'ratio' and 'budget'"));
  CHECK_THROWS_WITH(make({{"allocation", "greedy"}}), Catch::Matchers::Contains("'budget'"));
}
