// Inputs that are refused because their numbers are not weights.
#include "harness/merge/request/unmergeable.h"

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;
using Catch::Matchers::Contains;

namespace {

std::string refusal(StateDict tensors, const Json& config = nullptr) {
  try {
    refuse_unmergeable({{source("x", std::move(tensors)), config}});
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

Json quantised(const char* method) { return {{"quantization_config", {{"quant_method", method}}}}; }

}  // namespace

TEST_CASE("quantised weights are refused with what to do", "[merge]") {
  const at::Tensor bytes = at::zeros({4, 1}, at::kByte), ints = at::zeros({2, 2}, at::kInt);
  const at::Tensor floats = at::ones({4});
  CHECK_THAT(refusal({{"a.weight", bytes}, {"a.weight.absmax", floats}}, quantised("bitsandbytes")),
             Contains("x is quantised (bitsandbytes)") && Contains("'a.weight'") &&
                 Contains("dequantise"));
  CHECK_THAT(refusal({{"a.qweight", ints}, {"a.scales", floats}}), Contains("'a.qweight'"));
  CHECK_THAT(refusal({{"a.weight_packed", ints}}, quantised("compressed-tensors")),
             Contains("compressed-tensors"));
  CHECK_THAT(refusal({{"a.weight", at::ones({2, 2}).to(at::kFloat8_e4m3fn)}}),
             Contains("quantised") && Contains("'a.weight'"));
  // Integers of two dimensions are packed weights where the config says that some are.
  CHECK_THAT(refusal({{"codes", ints}}, {{"text_config", quantised("aqlm")}}),
             Contains("'codes'") && Contains("aqlm"));

  CHECK(refusal({{"codes", ints}}) == "no DataError");
  CHECK(refusal({{"embeddings.position_ids", at::zeros({1, 4}, at::kLong)}}, quantised("gptq")) ==
        "no DataError");
}

TEST_CASE("a quantization_config that was left over is a note", "[merge]") {
  const std::vector<std::string> notes =
      refuse_unmergeable({{source("x", {{"w", at::ones({2, 2})}}), quantised("bitsandbytes")}});

  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], Contains("quantization_config") && Contains("no tensor is quantised"));
}

TEST_CASE("an adapter's factors are recognised", "[merge]") {
  const at::Tensor factor = at::ones({2, 2});
  for (const char* name :
       {"base_model.model.layers.0.q_proj.lora_A.weight", "lora_unet_x.lora_down.weight",
        "base_model.model.embed_tokens.lora_embedding_A"})
    CHECK_THAT(refusal({{name, factor}}),
               Contains("x is a LoRA adapter") && Contains(name) && Contains("merge_and_unload"));
}
