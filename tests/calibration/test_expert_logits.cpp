#include "harness/calibration/statistic.h"
#include "harness/model/forward.h"
#include "tests/conformance/networks.h"

using namespace assay;
using namespace assay::testing;

namespace {

StatisticTensors scores_of(const Networks& networks, const Json& parameters,
                           int64_t batch_tokens = kBatchTokens) {
  const auto statistic = make_statistic("expert_logits", JsonReader(parameters, "the test"));
  const StateDict weights =
      load_weights(*networks.architecture, *networks.experts[0], at::kCPU, at::kFloat);
  return compute_statistic(*statistic, *networks.architecture, weights, *networks.data[0], 0,
                           batch_tokens);
}

/// Of one example.
at::Tensor direct(const Networks& networks, int64_t example) {
  const StateDict weights =
      load_weights(*networks.architecture, *networks.experts[0], at::kCPU, at::kFloat);
  return row_logits(*networks.architecture, weights, networks.data[0]->batch(example, 1));
}

}  // namespace

TEST_CASE("an expert's scores are kept by example, in the order of the classes", "[calibration]") {
  const int64_t top_k = GENERATE(0, 32);
  for (const Networks& networks : {small_cnns(), decoders()}) {
    CAPTURE(networks.name, top_k);
    const StatisticTensors found = scores_of(networks, {{"top_k", top_k}});
    const at::Tensor first_rows = found.tensors.at("first_rows");
    REQUIRE(first_rows.numel() == networks.data[0]->size() + 1);
    for (int64_t i = 0; i < networks.data[0]->size(); ++i) {
      const int64_t first = first_rows[i].item<int64_t>(), end = first_rows[i + 1].item<int64_t>();
      const at::Tensor expected = direct(networks, i);
      CHECK(distance(found.tensors.at("scores").narrow(0, first, end - first), expected) < 1e-5);
      CHECK(at::equal(found.tensors.at("classes").narrow(0, first, end - first),
                      at::arange(expected.size(1), at::kInt).expand_as(expected)));
    }
  }
}

TEST_CASE("of an expert's scores the highest are kept", "[calibration]") {
  const Networks networks = decoders();
  const StatisticTensors found = scores_of(networks, {{"top_k", 3}});
  const auto [scores, classes] = direct(networks, 0).topk(3, 1);

  CHECK(distance(found.tensors.at("scores").narrow(0, 0, 1), scores) < 1e-5);
  CHECK(at::equal(found.tensors.at("classes").narrow(0, 0, 1), classes.to(at::kInt)));
}

TEST_CASE("an expert's scores do not depend on batches, but for rounding", "[calibration]") {
  const Networks networks = decoders();
  const StatisticTensors one = scores_of(networks, Json::object(), 1),
                         all = scores_of(networks, Json::object());

  CHECK(distance(one.tensors.at("scores"), all.tensors.at("scores")) < 1e-5);
  CHECK(at::equal(one.tensors.at("first_rows"), all.tensors.at("first_rows")));
}

TEST_CASE("what an expert's scores take is known beforehand", "[calibration]") {
  const auto bytes = [](const Networks& networks, int64_t top_k) {
    const Json parameters{{"top_k", top_k}};
    const std::vector<LayerInfo> layers;
    return make_statistic("expert_logits", JsonReader(parameters, "the test"))
        ->example_bytes({*networks.architecture, layers}, /*tokens=*/10);
  };

  CHECK(bytes(small_cnns(), 0) == 3 * 8);  // a row of 3 classes: a score and a class
  CHECK(bytes(small_cnns(), 2) == 2 * 8);
  CHECK(bytes(decoders(), 0) == 10 * 32 * 8);  // at most a row per token
  CHECK(bytes(decoders(), 128) == 10 * 32 * 8);
}
