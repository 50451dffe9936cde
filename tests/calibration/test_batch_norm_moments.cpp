#include <ATen/ATen.h>

#include "harness/calibration/statistic.h"
#include "harness/core/error.h"
#include "harness/model/batch_norm.h"
#include "harness/model/layers_of.h"
#include "tests/catch.h"

using namespace assay;

TEST_CASE("batch_norm_moments averages what BatchNorm layers see of each batch", "[calibration]") {
  const auto moments = [](const Json& config, const std::vector<at::Tensor>& batches) {
    const auto model = make_architecture(JsonReader(config, "config.json: $"));
    const StateDict weights = model->initial_weights(1);
    const std::vector<LayerInfo> layers = layers_of(*model);
    const NetworkShape network{*model, layers};
    const auto statistic =
        make_statistic("batch_norm_moments", JsonReader(Json::object(), "the test"));
    for (const at::Tensor& images : batches)
      statistic->add(statistic->observe({network, weights, {.inputs = images}}));
    CHECK(statistic->working_bytes(network) >= 0);
    return statistic->finish(network, 4).tensors;
  };
  const Json config = {
      {"model_type", "cifar_resnet"}, {"depth", 8}, {"width", 2}, {"image_size", 8}};
  const at::Tensor first = at::arange(384, at::kFloat).sin().view({2, 3, 8, 8});
  const at::Tensor second = at::arange(384, at::kFloat).cos().view({2, 3, 8, 8});

  const StateDict one = moments(config, {first}), other = moments(config, {second});
  const StateDict both = moments(config, {first, second});

  REQUIRE(both.size() == 2 * (1 + 6 + 2));
  for (const auto& [name, mean] : both)
    CHECK(at::allclose(mean, (one.at(name) + other.at(name)) / 2, 1e-6, 1e-7));
  // The first layer's are those of the convolved images.
  const auto model = make_architecture(JsonReader(config, "config.json: $"));
  const StateDict weights = model->initial_weights(1);
  const at::Tensor convolved = at::conv2d(first, weights.at("conv1.weight"), {}, 1, 1);
  CHECK(at::allclose(one.at("bn1.running_mean"), convolved.mean(at::IntArrayRef{0, 2, 3}), 1e-4,
                     1e-5));
  CHECK(at::allclose(one.at("bn1.running_var"), convolved.var(at::IntArrayRef{0, 2, 3}, true), 1e-4,
                     1e-5));

  CHECK_THROWS_AS(moments({{"model_type", "mlp"}, {"inputs", 4}}, {at::ones({2, 4})}), UserError);
}
