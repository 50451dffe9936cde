// The heads of encoders for masked tokens, against transformers.
#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/model/encoder.h"
#include "harness/model/forward.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/language_models.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

const EncoderArchitecture& encoder_of(const OpenModel& model) {
  return dynamic_cast<const EncoderArchitecture&>(*model.architecture);
}

}  // namespace

TEST_CASE("encoders predict tokens with the reference's scores", "[model][language]") {
  for (const std::string family : {"bert-masked", "roberta-masked"}) {
    INFO(family);
    const OpenModel model = open_model(kGoldens / family, {});
    CHECK(encoder_of(model).predicts_tokens());
    CHECK(encoder_of(model).classes() == 0);
    const Json expected = read_json(kGoldens / family / "expected.json");
    for (size_t i = 0; i < 2; ++i) {
      const auto ids = expected.at("prompts")[i].get<std::vector<int64_t>>();
      ModelBatch batch{.inputs = at::tensor(ids, at::kLong).unsqueeze(0)};
      batch.scored = at::ones_like(batch.inputs, at::kBool);
      const at::Tensor found = class_logits(*model.architecture, model.weights, batch);
      REQUIRE(found.size(0) == static_cast<int64_t>(ids.size()));
      for (size_t token = 0; token < ids.size(); ++token) {
        const at::Tensor wanted =
            at::tensor(expected.at("token_logits")[i][token].get<std::vector<float>>(), at::kFloat);
        CHECK(at::allclose(found[static_cast<int64_t>(token)], wanted, 1e-4, 1e-5));
      }
    }
    // Two tokens of the batch alone.
    ModelBatch batch{.inputs = at::tensor({2, 5, 3, 7}, at::kLong).view({2, 2})};
    batch.scored = at::tensor({0, 1, 1, 0}, at::kLong).view({2, 2}).to(at::kBool);
    CHECK(row_logits(*model.architecture, model.weights, batch).size(0) == 2);
    CHECK(at::equal(row_examples(batch), at::tensor({0, 1}, at::kLong)));
  }
}

TEST_CASE("files may repeat the output layer of a masked head, and not contradict it",
          "[model][language]") {
  const TemporaryFolder folder;
  const auto checkpoint = Checkpoint::open(kGoldens / "bert-masked");
  StateDict tensors;
  for (const TensorInfo& info : checkpoint->tensors())
    tensors[info.name] = checkpoint->read(info.name);
  tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"];
  tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"];
  tensors["cls.seq_relationship.weight"] = at::zeros({2, 16});
  write_file(folder.path() / "config.json", checkpoint->config().dump());
  write_safetensors(folder.path() / "model.safetensors", tensors);
  CHECK_NOTHROW(open_model(folder.path(), {}));
  tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"] + 1;
  write_safetensors(folder.path() / "model.safetensors", tensors);
  CHECK_THROWS_WITH(open_model(folder.path(), {}), Contains("cls.predictions.decoder.bias"));
}

TEST_CASE("an encoder without a head for masked tokens says so", "[model][language]") {
  const OpenModel bare = open_model(kGoldens / "bert-bare", {});
  CHECK_FALSE(encoder_of(bare).predicts_tokens());
  CHECK_THROWS_WITH(encoder_of(bare).token_logits(bare.weights, at::zeros({1, 16})),
                    Contains("ForMaskedLM"));
}
