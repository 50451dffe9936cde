// CLIP's text tower and heads made of texts, against transformers (scripts/peers/clip_goldens.py).
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "harness/checkpoint/safetensors.h"
#include "harness/core/files.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/lm/zero_shot.h"
#include "harness/model/forward.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const fs::path kClip = fs::path(ASSAY_TESTS_FOLDER) / "golden/models/clip";

Json expected() { return read_json(kClip / "expected.json"); }

at::Tensor rows_of(const Json& rows) {
  std::vector<at::Tensor> all;
  for (const Json& row : rows)
    all.push_back(at::tensor(row.get<std::vector<double>>(), at::kDouble));
  return at::stack(all);
}

ZeroShotSpec spec(const std::string& model = kClip.string()) {
  const Json json = expected();
  return {model, json.at("class_names").get<std::vector<std::string>>(),
          json.at("templates").get<std::vector<std::string>>()};
}

at::Tensor features_of(const EncoderModel& tower) {
  const Json json = expected();
  std::vector<EncoderText> texts;
  for (const Json& text : json.at("texts")) texts.push_back({text, std::nullopt, "a test"});
  return EncoderModelPredictor(tower).embeddings(texts);
}

at::Tensor image_features() {
  const c10::NoGradGuard no_gradients;
  const OpenModel images = open_model(kClip, {});
  const at::Tensor angles = at::arange(2 * 3 * 12 * 12, at::kDouble) * 0.37;
  return images.architecture->logits(images.weights,
                                     at::sin(angles).to(at::kFloat).view({2, 3, 12, 12}));
}

/// The text tower alone, in a folder of its own, with these fields of its config.json.
void write_tower(const fs::path& folder, const Json& fields, bool scale = false) {
  Json config = read_json(kClip / "config.json").at("text_config");
  config["projection_dim"] = 6;
  config["architectures"] = {"CLIPTextModelWithProjection"};
  config.update(fields);
  write_file(folder / "config.json", config.dump());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(kClip / name, folder / name);
  const auto whole = Checkpoint::open(kClip);
  StateDict stored;
  for (const TensorInfo& info : whole->tensors())
    if (info.name.starts_with("text_") || (scale && info.name == "logit_scale"))
      stored[info.name] = whole->read(info.name);
  write_file(folder / "model.safetensors", safetensors_bytes(stored));
}

/// The same weights as OpenCLIP stores them, both towers; of the image's only its projection.
void write_open_clip(const fs::path& folder) {
  const auto whole = Checkpoint::open(kClip);
  const auto read = [&](const std::string& name) { return whole->read(name); };
  const std::string text = "text_model.";
  StateDict stored = {{"token_embedding.weight", read(text + "embeddings.token_embedding.weight")},
                      {"positional_embedding", read(text + "embeddings.position_embedding.weight")},
                      {"text_projection", read("text_projection.weight").t().contiguous()},
                      {"logit_scale", read("logit_scale")},
                      {"attn_mask", at::zeros({24, 24})},
                      {"visual.proj", read("visual_projection.weight").t().contiguous()}};
  for (const char* part : {"weight", "bias"}) {
    stored[fmt::format("ln_final.{}", part)] =
        read(fmt::format("{}final_layer_norm.{}", text, part));
    for (const int block : {0, 1}) {
      const auto own = [&](const char* layer) {
        return read(fmt::format("{}encoder.layers.{}.{}.{}", text, block, layer, part));
      };
      const std::string name = fmt::format("transformer.resblocks.{}.", block);
      for (const auto& [layer, of] : {std::pair("ln_1", "layer_norm1"),
                                      {"ln_2", "layer_norm2"},
                                      {"attn.out_proj", "self_attn.out_proj"},
                                      {"mlp.c_fc", "mlp.fc1"},
                                      {"mlp.c_proj", "mlp.fc2"}})
        stored[fmt::format("{}{}.{}", name, layer, part)] = own(of);
      stored[fmt::format("{}attn.in_proj_{}", name, part)] =
          at::cat({own("self_attn.q_proj"), own("self_attn.k_proj"), own("self_attn.v_proj")});
    }
  }
  write_file(folder / "open_clip_model.safetensors", safetensors_bytes(stored));
  write_file(folder / "open_clip_config.json",
             R"({"model_cfg": {"embed_dim": 6, "quick_gelu": true,
                 "text_cfg": {"context_length": 24, "vocab_size": 570, "width": 16, "heads": 2,
                              "layers": 2, "mlp_ratio": 1.5},
                 "vision_cfg": {"image_size": 12, "patch_size": 4, "layers": 2, "width": 16}}})");
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(kClip / name, folder / name);
}

}  // namespace

TEST_CASE("CLIP's tokenizer gives transformers' ids", "[tokenizer]") {
  const Json json = expected();
  const auto tokenizer = Tokenizer::open(kClip);
  for (size_t i = 0; i < json.at("texts").size(); ++i) {
    const auto text = json.at("texts")[i].get<std::string>();
    INFO(text);
    CHECK(tokenizer->encode(text, true) == json.at("ids")[i].get<TokenIds>());
  }
}

TEST_CASE("CLIP's text tower gives transformers' features", "[model][lm]") {
  const at::Tensor wanted = rows_of(expected().at("features"));
  CHECK(at::allclose(features_of(open_text_tower(kClip.string(), "a test", at::kCPU)), wanted, 1e-4,
                     1e-5));

  const TemporaryFolder alone, old;
  write_tower(alone.path(), Json::object());
  CHECK(at::allclose(features_of(open_text_tower(alone.path().string(), "a test", at::kCPU)),
                     wanted, 1e-4, 1e-5));
  // As OpenAI's checkpoints have it: EOS is the highest id of a text.
  write_tower(old.path(), {{"eos_token_id", 2}});
  CHECK(at::allclose(features_of(open_text_tower(old.path().string(), "a test", at::kCPU)), wanted,
                     1e-4, 1e-5));
}

TEST_CASE("a head of texts gives transformers' scores", "[model][lm]") {
  const Json json = expected();
  const EncoderModel tower = open_text_tower(kClip.string(), "a test", at::kCPU);
  const at::Tensor head = zero_shot_head(tower, spec(), "a test");
  CHECK(at::allclose(head, rows_of(json.at("head")), 1e-4, 1e-5));
  CHECK(at::allclose(head.norm(2, 1), at::ones({3}, at::kDouble), 1e-12));

  const at::Tensor features = image_features();
  const auto scores_by = [&](const ZeroShotSpec& of) {
    return ZeroShotHead(of, "a test").logits(features).to(at::kDouble);
  };
  CHECK(at::allclose(scores_by(spec()), rows_of(json.at("scores")), 1e-4, 1e-4));
  ZeroShotSpec one = spec();
  one.templates.resize(1);
  CHECK(at::allclose(scores_by(one), rows_of(json.at("scores_of_first_template")), 1e-4, 1e-4));

  // A lone tower has no logit_scale: 100 in place of exp(3.5).
  const TemporaryFolder alone;
  write_tower(alone.path(), Json::object());
  CHECK(at::allclose(scores_by(spec(alone.path().string())),
                     rows_of(json.at("scores")) * (100 / std::exp(3.5)), 1e-4, 1e-3));
}

TEST_CASE("OpenCLIP's text towers are read under transformers' names", "[model][lm]") {
  const TemporaryFolder folder;
  write_open_clip(folder.path());
  const std::string model = folder.path().string();
  CHECK(at::allclose(features_of(open_text_tower(model, "a test", at::kCPU)),
                     rows_of(expected().at("features")), 1e-4, 1e-5));
  CHECK(at::allclose(ZeroShotHead(spec(model), "a test").logits(image_features()).to(at::kDouble),
                     rows_of(expected().at("scores")), 1e-4, 1e-4));

  write_file(folder.path() / "open_clip_config.json",
             R"({"model_cfg": {"embed_dim": 6, "text_cfg": {"hf_model_name": "x", "width": 16,
                               "heads": 2, "layers": 2}}})");
  CHECK_THROWS_WITH(open_text_tower(model, "a test", at::kCPU), Contains("hf_model_name"));
}

TEST_CASE("a head's hash is of what it is made of", "[lm]") {
  const std::string hash = ZeroShotHead(spec(), "a test").hash();
  const TemporaryFolder elsewhere;
  for (const auto& entry : fs::directory_iterator(kClip))
    fs::copy_file(entry.path(), elsewhere.path() / entry.path().filename());
  CHECK(ZeroShotHead(spec(elsewhere.path().string()), "another").hash() == hash);
  ZeroShotSpec other = spec();
  other.templates.pop_back();
  CHECK(ZeroShotHead(other, "a test").hash() != hash);
  other = spec();
  std::swap(other.class_names[0], other.class_names[1]);
  CHECK(ZeroShotHead(other, "a test").hash() != hash);
}

TEST_CASE("mistakes in a zero-shot head are named", "[lm]") {
  ZeroShotSpec bad = spec();
  bad.templates[1] = "a photo";
  CHECK_THROWS_WITH(ZeroShotHead(bad, "$.zero_shot"),
                    Contains("$.zero_shot.templates") && Contains("'a photo'"));
  const std::string bert = (kClip.parent_path() / "bert").string();
  CHECK_THROWS_WITH(ZeroShotHead(spec(bert), "$.zero_shot"),
                    Contains("$.zero_shot.model") && Contains("'bert'") && Contains("clip"));
  CHECK_THROWS_WITH(ZeroShotHead(spec(), "$.zero_shot").logits(at::ones({2, 5})),
                    Contains("$.zero_shot") && Contains("6") && Contains("[2, 5]"));
}

TEST_CASE("features of images are no probabilities of classes", "[model]") {
  const OpenModel images = open_model(kClip, {});
  const ModelBatch batch{.inputs = at::ones({1, 3, 12, 12})};
  CHECK(row_logits(*images.architecture, images.weights, batch).size(1) == 6);
  CHECK_THROWS_WITH(class_logits(*images.architecture, images.weights, batch),
                    Contains("features"));
}
